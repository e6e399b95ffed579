"""What is older than it should be, and why: for whoever operates the system. It looks, and changes nothing.

The engine mends itself as long as workers and beat run, so whatever is found here needs somebody.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from batches.catalogue import Route, routes
from batches.execution.gate import health_by_route
from batches.models import ProviderRoute, RouteHealth
from ledger.models import InvoiceMail, LowNotice, ReconciliationRun
from sora2.mailing import oldest_unsent
from webhooks import health as webhooks
from webhooks.models import Notice

# What is due is taken within a second or two; this much later, nobody takes it.
LATE = timedelta(seconds=60)
LONG_OPEN = timedelta(hours=24)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be: what, since when, and what to do.

    `is_trouble` False: worth knowing, and nobody need do anything.
    """

    kind: str
    subject: str
    since: datetime | None
    says: str
    do: str
    is_trouble: bool = True


def examine(*, now: datetime) -> list[Finding]:
    """Return everything that is older than it should be, the oldest of each kind first."""
    return [finding for look in LOOKS for finding in look(now)]


# --- routes --------------------------------------------------------------------------------------------------------

WAITING = """
    SELECT route, count(*) FILTER (WHERE stage = 'submit'), min(created_at) FILTER (WHERE stage = 'submit'), count(*)
    FROM batches_item WHERE status IN ('pending', 'running') GROUP BY route
"""


def _shut_routes(now: datetime) -> Iterator[Finding]:
    rows = {row.name: row for row in ProviderRoute.objects.all()}
    usable = {route.name: route for route in routes()}
    health = health_by_route()
    for name, waiting, since, items in _rows(WAITING):
        if name not in usable:
            yield _unusable(name, rows.get(name), items, since)
        elif waiting:
            yield from _shut(rows[name], health.get(name), waiting)
    for name, known in health.items():
        if known.unanswered_since is not None and now - known.unanswered_since > LATE:
            yield Finding(
                "provider_silent",
                name,
                known.unanswered_since,
                "the provider does not answer when it is asked about its jobs",
                "Look whether its address answers. Nothing is lost: jobs end when it does, or at their deadlines.",
            )


def _unusable(name: str, row: ProviderRoute | None, items: int, since: datetime | None) -> Finding:
    why = "has no address, or a key that cannot be read" if row else "is not known"
    do = "Set its address in the admin or the environment. Its items wait for that until their deadlines."
    return Finding("route_unusable", name, since, f"{items} items are open on a route that {why}", do)


def _shut(row: ProviderRoute, health: RouteHealth | None, waiting: int) -> Iterator[Finding]:
    if row.paused_at is not None:
        says = f"{waiting} items wait: the route was paused by {row.paused_by} ({row.paused_reason})"
        yield Finding("route_paused", row.name, row.paused_at, says, "Resume it when its reason is gone.")
    elif health is not None and health.opened_at is not None:
        last = f"{health.last_failure}: {health.last_detail}".strip(": ")
        says = f"{waiting} items wait: the provider is down, it said last {last!r}"
        do = "It is probed at least once a minute and goes on by itself. For provider_auth, put the key right."
        yield Finding("breaker_open", row.name, health.opened_at, says, do)


# --- items and batches ---------------------------------------------------------------------------------------------

# Served by batches_item_due.
DUE = """
    SELECT route, stage, count(*), min(due_at) FROM batches_item
    WHERE stage IN ('lookup', 'poll', 'collect') AND due_at < %(late)s GROUP BY route, stage ORDER BY min(due_at)
"""
# Of what waits to be submitted, only what a route has room for is late.
TO_SUBMIT = """
    SELECT count(*), min(due_at),
           (SELECT count(*) FROM batches_item WHERE route = %(route)s AND stage IN ('lookup', 'poll'))
    FROM batches_item i JOIN batches_batch b ON b.id = i.batch_id
    WHERE b.state IN ('queued', 'processing') AND b.canceled_at IS NULL
      AND i.stage = 'submit' AND i.route = %(route)s AND i.due_at < %(late)s
"""
OVERDUE = """
    SELECT id, deadline_at, stage FROM batches_item
    WHERE status IN ('pending', 'running') AND stage <> 'collect' AND deadline_at < %(late)s
    ORDER BY deadline_at LIMIT 20
"""
UNCOLLECTED = """
    SELECT i.id, a.ready_at FROM batches_item i
    JOIN batches_attempt a ON a.item_id = i.id AND a.number = i.attempts_made
    WHERE i.stage = 'collect' AND a.ready_at < %(gave_up)s ORDER BY a.ready_at LIMIT 20
"""
UNFINISHED = """
    SELECT b.id, (SELECT max(i.finished_at) FROM batches_item i WHERE i.batch_id = b.id) AS ended
    FROM batches_batch b
    WHERE b.state IN ('queued', 'processing') AND b.created_at < %(late)s
      AND NOT EXISTS (SELECT FROM batches_item i WHERE i.batch_id = b.id AND i.status IN ('pending', 'running'))
      AND (SELECT max(i.finished_at) FROM batches_item i WHERE i.batch_id = b.id) < %(late)s
    ORDER BY ended LIMIT 20
"""
LONG = """
    SELECT b.id, b.created_at, count(i.id) FROM batches_batch b
    LEFT JOIN batches_item i ON i.batch_id = b.id AND i.status IN ('pending', 'running')
    WHERE b.state IN ('queued', 'processing') AND b.created_at < %(long_ago)s
    GROUP BY b.id ORDER BY b.created_at LIMIT 20
"""
# Jobs that the provider took and whose items ended without them: it may bill us for them, nobody else pays.
ORPHANS = """
    SELECT a.route, count(*), min(a.submitted_at) FROM batches_attempt a JOIN batches_item i ON i.id = a.item_id
    WHERE a.submitted_at > %(long_ago)s AND a.ended_at IS NULL AND a.provider_job_id IS NOT NULL
      AND i.finished_at IS NOT NULL
    GROUP BY a.route
"""


def _late_items(now: datetime) -> Iterator[Finding]:
    for route, stage, count, since in _rows(DUE, late=now - LATE):
        says = f"{count} items are due for {stage} on {route}, and no worker takes them"
        yield Finding(
            "not_taken", f"{route} {stage}", since, says, "Look whether workers and beat run, and at their logs."
        )
    health = health_by_route()
    for route in routes():
        if not (route.is_paused or _is_held(health.get(route.name), now)):
            yield from _not_submitted(route, now)


def _not_submitted(route: Route, now: datetime) -> Iterator[Finding]:
    for count, since, in_flight in _rows(TO_SUBMIT, route=route.name, late=now - LATE):
        if count and in_flight < route.max_in_flight and route.submits_per_minute is None:
            says = f"{count} items wait to be submitted on {route.name}, which has room"
            do = "Look whether workers and beat run, and at their logs."
            yield Finding("not_taken", f"{route.name} submit", since, says, do)


def _is_held(health: RouteHealth | None, now: datetime) -> bool:
    return health is not None and (
        health.opened_at is not None or (health.held_until is not None and health.held_until > now)
    )


def _stuck_items(now: datetime) -> Iterator[Finding]:
    for item_id, since, stage in _rows(OVERDUE, late=now - LATE):
        says = f"its deadline has passed while it is due for {stage}"
        yield Finding("past_deadline", item_id, since, says, "Look whether workers and beat run, and at their logs.")
    gave_up = now - timedelta(seconds=settings.COLLECT_DEADLINE_SECONDS) - LATE
    for item_id, since in _rows(UNCOLLECTED, gave_up=gave_up):
        says = "its video is ready, and was not fetched within COLLECT_DEADLINE_SECONDS"
        yield Finding("not_collected", item_id, since, says, "Look at the storage, and at the workers' logs.")


def _stuck_batches(now: datetime) -> Iterator[Finding]:
    for batch_id, since in _rows(UNFINISHED, late=now - LATE):
        says = "every item has ended, and the batch has not"
        do = "Look in the workers' logs for batches.finalize_failed, and run manage.py reconcile."
        yield Finding("not_finalized", batch_id, since, says, do)
    for batch_id, since, count in _rows(LONG, long_ago=now - LONG_OPEN):
        says = f"open for more than a day, {count} items of it"
        yield Finding("long_open", batch_id, since, says, "Look at its items: what they wait for is said above.", False)
    for route, count, since in _rows(ORPHANS, long_ago=now - LONG_OPEN):
        says = f"{count} jobs of the last day went on at the provider after their items had ended"
        yield Finding("orphan_jobs", route, since, says, "Nobody is charged; the provider may bill us for them.", False)


# --- around it -----------------------------------------------------------------------------------------------------

UNPURGED = """
    SELECT count(*), min(expires_at) FROM batches_output
    WHERE expires_at IS NOT NULL AND purged_at IS NULL AND expires_at < %(long_ago)s
"""


def _around(now: datetime) -> Iterator[Finding]:
    logs = "Look whether workers and beat run, and at their logs."
    count, due_since = webhooks.late(before=now - LATE)
    if due_since is not None:
        says = f"{count} deliveries are due, and no worker takes them"
        yield Finding("not_delivered", "webhooks", due_since, says, logs)
    for subject, table, about in (
        ("webhooks", Notice, "failing endpoints"),
        ("ledger", LowNotice, "low credits"),
        ("invoices", InvoiceMail, "invoices"),
    ):
        unsent_since = oldest_unsent(table)
        if unsent_since is not None and unsent_since < now - LATE:
            says = f"mails about {about} cannot be sent"
            yield Finding("not_mailed", subject, unsent_since, says, "Look at EMAIL_URL, and at the workers' logs.")
    for count, since in _rows(UNPURGED, long_ago=now - LONG_OPEN):
        if count:
            says = f"{count} videos are kept past the end of their customers' retention"
            yield Finding("not_purged", "outputs", since, says, "Look at the storage, and at the workers' logs.")
    last = ReconciliationRun.objects.order_by("-pk").first()
    if last is not None and now - last.finished_at > 2 * timedelta(seconds=settings.RECONCILE_SECONDS) + LATE:
        yield Finding("not_checked", "reconcile", last.finished_at, "the books were not checked since", logs)


LOOKS: tuple[Callable[[datetime], Iterator[Finding]], ...] = (
    _shut_routes,
    _late_items,
    _stuck_items,
    _stuck_batches,
    _around,
)


def _rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    named: Mapping[str, Any] = values
    with connection.cursor() as cursor:
        cursor.execute(sql, named)
        return list(cursor.fetchall())
