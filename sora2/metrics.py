"""The metrics for Prometheus, read from the database at each scrape: any web process gives the same answer.

What is heavy was counted by the last reconciliation, whose stored result is read; the rest takes one look at an index
or at a small table.
"""

import hmac
from collections.abc import Iterator
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

from batches.models import Batch
from batches.reconciliation import INVARIANTS
from customers.models import Mode
from ledger.models import ReconciliationRun, Seal, Wallet

BUCKETS = ("available", "reserved", "settled")


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
