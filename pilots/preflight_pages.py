"""What the page of the preflight shows: one run check by check, whether the latest green one is fresh, and all runs."""

from dataclasses import dataclass
from datetime import datetime

from django.shortcuts import get_object_or_404

from customers.naming import names_for_staff
from pilots.models import Preflight
from pilots.preflight import is_dead
from pilots.preflight_checks import WORDS, words_of
from pilots.preflight_models import FRESH
from sora2.pages import Rows, rows_after

RUNS_SHOWN = 20


@dataclass(frozen=True)
class Line:
    """A check of a run: `standing` is done, wrong, running or waiting; the rest is there once it was made."""

    words: str
    standing: str
    seconds: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Run:
    """A run in words: `state` is asked, running, died, passed or failed."""

    preflight: Preflight
    state: str
    who: str
    failed: list[str]

    @property
    def is_live(self) -> bool:
        """Say whether it will change by itself."""
        return self.state in ("asked", "running")

    @property
    def lines(self) -> list[Line]:
        """Return its checks: those that were made, and those that were not yet."""
        made = [_line(check) for check in self.preflight.checks]
        names = {check["name"] for check in self.preflight.checks}
        if self.state in ("passed", "failed"):
            return made
        to_come = [words for name, words in WORDS.items() if name not in names]
        return made + [
            Line(words, "running" if self.state == "running" and not place else "waiting")
            for place, words in enumerate(to_come)
        ]


@dataclass(frozen=True)
class Found:
    """The page: the run that is looked at, the one that is fresh and until when, and all of them by cursor."""

    shown: Run | None
    fresh: Preflight | None
    fresh_until: datetime | None
    live: bool
    page: Rows[Preflight]
    runs: list[Run]


def preflights(*, run: str, cursor: str, now: datetime) -> Found:
    """Return the page; `run` names the one to look at, by default the latest. Raises Http404."""
    rows = Preflight.objects.all()
    page = rows_after(rows, key="-pk", cursor=cursor, size=RUNS_SHOWN)
    shown = get_object_or_404(rows, pk=run) if run else rows.order_by("-pk").first()
    fresh = rows.fresh(now).first()
    everybody = names_for_staff(each.requested_by for each in [*page.rows, *([shown] if shown else [])])
    runs = [_run(each, everybody, now) for each in page.rows]
    one = _run(shown, everybody, now) if shown else None
    return Found(
        shown=one,
        fresh=fresh,
        fresh_until=fresh.ended_at + FRESH if fresh and fresh.ended_at else None,
        live=any(each.is_live for each in [*runs, *([one] if one else [])]),
        page=page,
        runs=runs,
    )


def _run(preflight: Preflight, names: dict[str, str], now: datetime) -> Run:
    by = preflight.requested_by
    failed = [words_of(check["name"]) for check in preflight.checks if not check["ok"]]
    return Run(preflight, _state(preflight, now), names.get(by, "a command" if by == "system" else by), failed)


def _state(preflight: Preflight, now: datetime) -> str:
    if preflight.ended_at is not None:
        return "passed" if preflight.ok else "failed"
    if is_dead(preflight, now):
        return "died"
    return "running" if preflight.started_at else "asked"


def _line(check: dict[str, object]) -> Line:
    name, seconds = str(check["name"]), check["seconds"]
    return Line(
        words=words_of(name),
        standing="done" if check["ok"] else "wrong",
        seconds=float(seconds) if isinstance(seconds, (int, float)) else None,
        detail=str(check["detail"]),
    )
