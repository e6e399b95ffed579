"""What is on record when all is over: at the system, at the provider, and at the receiver of the webhooks."""

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from standardwebhooks.webhooks import Webhook

from tests.flows.system import System
from tests.webhooks.receivers import Received

FINAL_STATES = ("completed", "partial", "failed")


@dataclass(frozen=True)
class Batch:
    """A batch as it ended."""

    id: str
    request_id: str
    state: str
    total: int
    credits: int
    settled: int
    refunded: int
    succeeded: int | None
    failed: int | None


@dataclass(frozen=True)
class Item:
    """An item as it ended, with its output if it has one."""

    id: str
    batch_id: str
    prompt: str
    seconds: int
    size: str
    status: str
    stage: str | None
    due_at: datetime | None
    failure_type: str
    video: str | None
    sha256: str | None


@dataclass(frozen=True)
class Attempt:
    """One submit of an item, as we have it."""

    item_id: str
    number: int
    state: str
    provider_job_id: str | None
    failure_type: str
    ended_at: datetime | None

    @property
    def client_id(self) -> str:
        """Return what we called it when we asked for it."""
        return f"{self.item_id}.{self.number}"


@dataclass(frozen=True)
class Job:
    """A job that the provider took, whoever was told."""

    id: str
    client_id: str
    prompt: str
    work_seconds: float | None
    error_code: str | None
    bad_output: int

    @property
    def sound(self) -> bool:
        """Say whether it may bring, or has brought, a good video: only its failure allows another submit."""
        return self.error_code is None and not self.bad_output


@dataclass(frozen=True)
class Told:
    """One webhook that arrived: the event's body, its id, and whether its signature is its receiver's."""

    event: dict[str, Any]
    webhook_id: str
    signed: bool


@dataclass(frozen=True)
class Evidence:
    """All of it."""

    batches: Sequence[Batch]
    items: Sequence[Item]
    attempts: Sequence[Attempt]
    jobs: Sequence[Job]
    told: Sequence[Told]


def collect(system: System, received: Sequence[Received], secrets: Sequence[str]) -> Evidence:
    """Read what all sides have on record."""
    with psycopg.connect(system.database_url) as connection:
        batches = connection.cursor(row_factory=class_row(Batch)).execute(
            "SELECT id, request_id, state, total, credits, settled, refunded, succeeded, failed FROM batches_batch"
        )
        items = connection.cursor(row_factory=class_row(Item)).execute(
            "SELECT i.id, i.batch_id, i.prompt, i.seconds, i.size, i.status, i.stage, i.due_at, i.failure_type,"
            " o.video, o.sha256 FROM batches_item i LEFT JOIN batches_output o ON o.item_id = i.id"
            " ORDER BY i.batch_id, i.index"
        )
        attempts = connection.cursor(row_factory=class_row(Attempt)).execute(
            "SELECT item_id, number, state, provider_job_id, failure_type, ended_at FROM batches_attempt"
        )
        return Evidence(
            batches=batches.fetchall(),
            items=items.fetchall(),
            attempts=attempts.fetchall(),
            jobs=_jobs(system),
            told=[_told(request, secrets) for request in received],
        )


def wait_for_ends(system: System, *, seconds: float) -> None:
    """Return when every batch is final; after so many seconds also if one is not."""
    _wait(lambda: _open_batches(system) == 0, seconds)


def wait_for_webhooks(received: Sequence[Received], batches: int, *, seconds: float) -> None:
    """Return when the webhooks of so many batches have arrived; after so many seconds also if one has not."""
    _wait(lambda: len({request.headers["webhook-id"] for request in received}) >= batches, seconds)


def _wait(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.5)


def _open_batches(system: System) -> int:
    """Return how many batches have not ended; one while the database is not there to be asked."""
    try:
        with psycopg.connect(system.database_url) as connection:
            sql = "SELECT count(*) FROM batches_batch WHERE state <> ALL(%s)"
            (count,) = connection.execute(sql, [list(FINAL_STATES)]).fetchone() or (1,)
            return int(count)
    except psycopg.OperationalError:
        return 1


def _jobs(system: System) -> list[Job]:
    with sqlite3.connect(f"file:{system.directory}/simulator.sqlite?mode=ro", uri=True) as file:
        rows = file.execute("SELECT id, client_id, prompt, work_seconds, error_code, bad_output FROM job")
        return [Job(*row) for row in rows]


def _told(request: Received, secrets: Sequence[str]) -> Told:
    headers, body = request.headers, request.body.decode()
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    signatures = {Webhook(secret).sign(headers["webhook-id"], at, body) for secret in secrets}
    return Told(json.loads(body), headers["webhook-id"], headers["webhook-signature"] in signatures)
