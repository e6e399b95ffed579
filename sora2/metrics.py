"""The metrics for Prometheus, read from the database at each scrape: any web process gives the same answer.

What is heavy was counted by the last reconciliation, whose stored result is read; the rest takes one look at an index
or at a small table. Items that wait are counted up to a limit.
"""

import hmac
from collections.abc import Callable, Iterator
from datetime import datetime

from django.conf import settings
from django.db.models import Count, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from batches.models import Batch, Probe, Stage
from batches.reconciliation import INVARIANTS
from batches.route_pages import RouteState, watched_routes
from customers.models import Mode
from ledger.models import ReconciliationRun, Seal, Wallet
from webhooks import health as webhooks

BUCKETS = ("available", "reserved", "settled")

# Of each route: what `sora2_route_…` says, and how it is read off the route's state.
OF_ROUTES: dict[str, tuple[str, Callable[[RouteState], float]]] = {
    "up": (
        "Whether items are submitted to the route: 0 while it is paused, down, or not configured.",
        lambda state: not state.is_shut,
    ),
    "breaker_open": (
        "Whether the route's provider is taken to be down.",
        lambda state: state.health.opened_at is not None,
    ),
    "paused": ("Whether somebody has paused the route.", lambda state: state.row.paused_at is not None),
    "in_flight": ("Items that the provider has, or is being given.", lambda state: state.load.in_flight),
    "waiting": ("Items that wait to be submitted to the route.", lambda state: state.load.waiting),
    "unanswered_seconds": (
        "Seconds for which the provider has not answered about its jobs; 0 while it does.",
        lambda state: state.unanswered_seconds,
    ),
}


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics to who has the token; without a token in the settings, under DEBUG only."""
    if not settings.METRICS_TOKEN and not settings.DEBUG:
        raise Http404
    if settings.METRICS_TOKEN and not _is_token(request.headers.get("Authorization", "")):
        return HttpResponse(
            "The bearer token is missing or wrong.\n", status=401, headers={"WWW-Authenticate": "Bearer"}
        )
    registry = CollectorRegistry()
    registry.register(_Now(timezone.now()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _is_token(authorization: str) -> bool:
    scheme, _, token = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())


class _Now(Collector):
    """All metrics as of one moment."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its values."""
        yield from self._reconciliation()
        yield self._seal()
        yield _credits()
        yield _open_batches()
        yield from _routes(self.now)
        yield from _webhooks(self.now)
        yield from _availability(self.now)

    def _reconciliation(self) -> Iterator[Metric]:
        run = ReconciliationRun.objects.order_by("-started_at").defer("discrepancies").first()
        rows = GaugeMetricFamily(
            "sora2_unexplained_rows",
            "Rows that broke a promise at the last reconciliation, by invariant.",
            labels=["invariant"],
        )
        age = GaugeMetricFamily(
            "sora2_reconciliation_age_seconds", "Seconds since the last reconciliation ended; none before the first."
        )
        duration = GaugeMetricFamily(
            "sora2_reconciliation_duration_seconds", "Seconds that the last reconciliation took."
        )
        if run is not None:
            for invariant in INVARIANTS:
                rows.add_metric([invariant.view], run.counts.get(invariant.view, 0))
            age.add_metric([], (self.now - run.finished_at).total_seconds())
            duration.add_metric([], (run.finished_at - run.started_at).total_seconds())
        yield from (rows, age, duration)

    def _seal(self) -> Metric:
        age = GaugeMetricFamily(
            "sora2_seal_age_seconds", "Seconds since the last seal was made; none before the first."
        )
        sealed_at = Seal.objects.order_by("-number").values_list("sealed_at", flat=True).first()
        if sealed_at is not None:
            age.add_metric([], (self.now - sealed_at).total_seconds())
        return age


def _credits() -> Metric:
    credits = GaugeMetricFamily(
        "sora2_credits", "Credits of all wallets, by bucket and mode.", labels=["bucket", "mode"]
    )
    rows = Wallet.objects.values_list("mode").annotate(*(Sum(bucket, default=0) for bucket in BUCKETS))
    by_mode = {mode: figures for mode, *figures in rows}
    for mode in Mode.values:
        for bucket, figure in zip(BUCKETS, by_mode.get(mode, [0] * len(BUCKETS)), strict=True):
            credits.add_metric([bucket, mode], int(figure))
    return credits


def _open_batches() -> Metric:
    """Count on batches_batch_open, which holds no other batch."""
    batches = GaugeMetricFamily(
        "sora2_batches_open", "Batches that have not reached their end, by mode.", labels=["mode"]
    )
    by_mode = {row["mode"]: row["count"] for row in Batch.objects.open().values("mode").annotate(count=Count("pk"))}
    for mode in Mode.values:
        batches.add_metric([mode], by_mode.get(mode, 0))
    return batches


def _webhooks(now: datetime) -> Iterator[Metric]:
    failing = GaugeMetricFamily(
        "sora2_webhook_endpoints_failing", "Enabled endpoints that take nothing, by mode.", labels=["mode"]
    )
    by_mode = webhooks.failing_by_mode()
    for mode in Mode.values:
        failing.add_metric([mode], by_mode.get(mode, 0))
    yield failing
    _, since = webhooks.late(before=now)
    yield GaugeMetricFamily(
        "sora2_webhooks_due_late_seconds",
        "Seconds for which the oldest delivery to an endpoint that works has waited to be sent; 0 while none does.",
        value=(now - since).total_seconds() if since else 0,
    )


def _availability(now: datetime) -> Iterator[Metric]:
    """Read the last probe of each kind on batches_slaprobe_once."""
    age = GaugeMetricFamily(
        "sora2_sla_probe_age_seconds",
        "Seconds since the minute of the last probe of availability began, by kind; none before the first.",
        labels=["kind"],
    )
    ok = GaugeMetricFamily("sora2_sla_probe_ok", "Whether the last probe of availability succeeded.", labels=["kind"])
    kinds = [Probe.objects.filter(kind=kind).order_by("-minute")[:1] for kind in Probe.Kind.values]
    for last in kinds[0].union(*kinds[1:], all=True):
        age.add_metric([last.kind], (now - last.minute).total_seconds())
        ok.add_metric([last.kind], float(last.ok))
    yield from (age, ok)


# --- routes --------------------------------------------------------------------------------------------------------


def _routes(now: datetime) -> Iterator[Metric]:
    """Read every route that is configured, or has items all the same, and how late its items are."""
    states = [state for state in watched_routes(now=now) if state.route is not None or state.load.open]
    for name, (what, read) in OF_ROUTES.items():
        metric = GaugeMetricFamily(f"sora2_route_{name}", what, labels=["route"])
        for state in states:
            metric.add_metric([state.name], float(read(state)))
        yield metric
    late = GaugeMetricFamily(
        "sora2_items_due_late_seconds",
        "Seconds for which the oldest item that is due for a stage has waited to be taken; 0 while none does.",
        labels=["route", "stage"],
    )
    for state in states:
        for stage in Stage.values:
            late.add_metric([state.name, stage], state.load.late_seconds(stage, now=now))
    yield late
