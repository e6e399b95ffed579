"""The provider's jobs, in SQLite: in memory, or in a file that survives a restart.

Nothing runs in the background: a job's state is a function of its row and the clock, so a restart changes
nothing.
"""

import secrets
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    work_seconds REAL,
    model TEXT NOT NULL,
    prompt TEXT NOT NULL,
    seconds INTEGER NOT NULL,
    size TEXT NOT NULL,
    error_code TEXT,
    error_message TEXT,
    bad_output INTEGER NOT NULL,
    client_id TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS submit_count (key TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""
COLUMNS = (
    "number, id, created_at, work_seconds, model, prompt, seconds, size, error_code, error_message, bad_output,"
    " client_id"
)
# For files that were written before jobs kept what their clients called them.
ADD_CLIENT_ID = "ALTER TABLE job ADD COLUMN client_id TEXT NOT NULL DEFAULT ''"
# The share of its time that a job spends waiting for its turn.
QUEUED_SHARE = 0.1
# Files are served for a day.
KEPT_SECONDS = 86_400


@dataclass(frozen=True)
class NewJob:
    """What a submit asks for and how it ends: `work_seconds` None is never, `error_code` None success.

    `client_id` is what the client called its submit: no part of the format, but kept for who looks into the file.
    """

    model: str
    prompt: str
    seconds: int
    size: str
    work_seconds: float | None
    error_code: str | None = None
    error_message: str | None = None
    bad_output: bool = False
    client_id: str = ""


@dataclass(frozen=True)
class Job(NewJob):
    """A job that was taken; its questions are asked with the time `now` (Unix seconds)."""

    number: int = 0
    id: str = ""
    created_at: float = 0.0

    @property
    def ends_at(self) -> float | None:
        """When it ends, or None if never."""
        return None if self.work_seconds is None else self.created_at + self.work_seconds

    def status(self, now: float) -> str:
        """Return queued, in_progress, completed or failed."""
        if self.ends_at is not None and now >= self.ends_at:
            return "failed" if self.error_code else "completed"
        waiting = QUEUED_SHARE * (self.work_seconds if self.work_seconds is not None else 1.0)
        return "queued" if now - self.created_at < waiting else "in_progress"

    def progress(self, now: float) -> int:
        """Return how many per cent are done; a job that never ends stands at 50."""
        if self.work_seconds is None:
            return 50 if self.status(now) == "in_progress" else 0
        if self.work_seconds == 0:
            return 100
        return max(0, min(100, int(100 * (now - self.created_at) / self.work_seconds)))

    def expired(self, now: float) -> bool:
        """Say whether its files are gone."""
        return now >= self.created_at + KEPT_SECONDS


class JobStore:
    """All jobs of one simulator. Safe for many threads: one connection, one lock, short statements."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)
        if "client_id" not in {name for _, name, *_ in self._db.execute("PRAGMA table_info(job)")}:
            self._db.execute(ADD_CLIENT_ID)

    def add(self, new: NewJob, *, now: float) -> Job:
        """Store a job and return it with its id."""
        job_id = f"video_{secrets.token_hex(24)}"
        row = (job_id, now, new.work_seconds, new.model, new.prompt, new.seconds, new.size, new.client_id)
        with self._lock:
            cursor = self._db.execute(
                "INSERT INTO job (id, created_at, work_seconds, model, prompt, seconds, size, client_id,"
                " error_code, error_message, bad_output) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, new.error_code, new.error_message, new.bad_output),
            )
        return Job(**vars(new), number=cursor.lastrowid or 0, id=job_id, created_at=now)

    def get(self, job_id: str) -> Job | None:
        """Return the job, or None."""
        found = self._select("WHERE id = ?", (job_id,))
        return found[0] if found else None

    def last_number(self) -> int:
        """Return how many jobs were ever taken, forgotten ones included."""
        with self._lock:
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'job'").fetchone()
        return int(row[0]) if row else 0

    def page(self, *, after: Job | None, limit: int, newest_first: bool) -> list[Job]:
        """Return up to `limit` jobs that follow `after` in order of creation. Served by the primary key."""
        if newest_first:
            start = after.number if after else 2**62
            return self._select("WHERE number < ? ORDER BY number DESC LIMIT ?", (start, limit))
        return self._select("WHERE number > ? ORDER BY number LIMIT ?", (after.number if after else 0, limit))

    def forget_before(self, time: float) -> None:
        """Drop the jobs created before `time`, so that a simulator used for years doesn't fill its disk."""
        with self._lock:
            self._db.execute("DELETE FROM job WHERE created_at < ?", (time,))

    def delete(self, job_id: str) -> None:
        """Forget the job."""
        with self._lock:
            self._db.execute("DELETE FROM job WHERE id = ?", (job_id,))

    def next_submit(self, key: str, *, steps: int, cycle: bool) -> int:
        """Count one submit of `key` and return its number from 0.

        With `cycle` the count starts anew after `steps` have been passed, so that the same prompt sent again
        in a later run meets the same steps again.
        """
        with self._lock:
            row = self._db.execute("SELECT count FROM submit_count WHERE key = ?", (key,)).fetchone()
            count: int = row[0] if row else 0
            if cycle and count >= steps:
                self._db.execute("DELETE FROM submit_count WHERE key = ?", (key,))
            else:
                self._db.execute("INSERT OR REPLACE INTO submit_count VALUES (?, ?)", (key, count + 1))
        return count

    def close(self) -> None:
        """Close the file; what was written stays."""
        with self._lock:
            self._db.close()

    def _select(self, where: str, values: tuple[object, ...]) -> list[Job]:
        sql = f"SELECT {COLUMNS} FROM job {where}"  # noqa: S608 (`where` is one of the constants above)
        with self._lock:
            rows = self._db.execute(sql, values).fetchall()
        names = COLUMNS.split(", ")
        return [Job(**dict(zip(names, row, strict=True))) for row in rows]
