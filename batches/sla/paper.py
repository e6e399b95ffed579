"""A report as a paper: of a month that is over the same bytes each time."""

from datetime import UTC, datetime
from typing import Any

from batches.sla.pages import TARGET_WORDS, shown
from batches.sla.report import Report
from ledger.papers.setting import Paper, set_paper
from ledger.papers.texts import shown as as_shown
from sora2.templatetags.figures import credits

TEMPLATE = "sla.typ"
NAME_MAX = 200


def report_paper(found: Report, *, money: bool, now: datetime) -> Paper:
    """Return a report as PDF; credits are for those who may see them. Raises PaperUnavailable."""
    made_at = found.month.ends_at if found.is_over else now
    body = set_paper(TEMPLATE, _data(found, money=money, now=now), made_at=made_at)
    return Paper(body, f"service-levels-{found.organization.pk}-{found.month.month}.pdf")


def _data(found: Report, *, money: bool, now: datetime) -> dict[str, Any]:
    measured, served = found.measured, found.served
    return {
        "name": found.month.name,
        "customer": as_shown(found.organization.name, longest=NAME_MAX),
        "organization": found.organization.pk,
        "from": _utc(measured.window.starts_at),
        "until": _utc(measured.window.ends_at),
        "state": "Final. What was measured is kept as it was, so this paper stays as it is."
        if found.is_over
        else f"So far. The month is not over; the figures are those of {_utc(now)} UTC.",
        "promises": [
            _promise("Availability", f"at least {TARGET_WORDS}", measured.percent, measured.is_met, measured.minutes),
            _promise("Refunds of what failed", "100 %", served.coverage, served.is_met, served.failed),
        ],
        "minutes": [
            ("Counted", credits(measured.minutes)),
            ("Up", credits(measured.up)),
            ("Down", credits(measured.down)),
            ("… of these not measured", credits(measured.missing)),
            ("May be down in the whole month", credits(found.allowed)),
        ],
        "served": [
            ("Batches", credits(served.batches)),
            ("Items", credits(served.items)),
            ("… succeeded", credits(served.succeeded)),
            ("… failed", credits(served.failed)),
            ("… of these refunded", credits(served.refunded)),
            *([("Credits refunded", credits(served.credits))] if money else []),
        ],
        "downtimes": [
            {
                "from": _utc(each.starts_at),
                "until": _utc(each.ends_at),
                "minutes": credits(each.minutes),
                "why": as_shown(each.why, longest=NAME_MAX),
            }
            for each in shown(found.downtimes)
        ],
        "more": credits(len(found.downtimes) - len(shown(found.downtimes))),
    }


def _promise(name: str, target: str, kept: str, is_met: bool, of: int) -> dict[str, Any]:
    return {"name": name, "target": target, "kept": kept, "met": is_met, "measured": bool(of)}


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
