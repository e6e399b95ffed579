"""The lines of the month-end checklist: each a promise, how it stands, its figure in a sentence, and where to look."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.urls import reverse

from batches.finding import batch_address, sign_off_address
from batches.models import Batch
from batches.month_figures import LISTED, MonthFigures
from batches.reconciliation_pages import LastCheck
from customers.models import Mode
from ledger.checklists import Line, Row, Standing, counted
from ledger.intervals import Month, month_at
from ledger.models import Entry, MonthFile, SealLeaf
from ledger.statements import Statement, faults_of
from sora2.pages import with_query
from sora2.times import timestamp


def of_over(month: Month, now: datetime) -> Line:
    """Return whether the month is over."""
    ends = f"{month.ends_at.astimezone(month.tz):%Y-%m-%d %H:%M} {month.zone}"
    if now >= month.ends_at:
        return Line("The month is over", Standing.DONE, f"It ended at {ends}.")
    return Line("The month is over", Standing.WAITING, f"It ends at {ends}.", missing=f"it ends at {ends}")


def of_open(month: Month, figures: MonthFigures) -> Line:
    """Return whether every batch that was ordered in the month has ended."""
    name, address = "Every batch ordered in it is final", _batches(month)
    if not figures.open:
        return Line(name, Standing.DONE, f"{figures.final:,} of {figures.batches:,}.", address)
    return Line(
        name,
        Standing.WAITING,
        f"{figures.final:,} of {figures.batches:,}; {_count(figures.open, 'batch')} still open: {figures.held:,} held.",
        _batches(month, state="open"),
        f"{_count(figures.open, 'batch')} still open",
        [Row(batch.request_id, batch_address(batch.pk), _holds(batch)) for batch in figures.open_batches],
        figures.open - len(figures.open_batches),
    )


def of_held(month: Month, statement: Statement, page: str, now: datetime) -> Line:
    """Return what was held at the month's end: reserves that are settled or refunded in a later month."""
    name, reserves = "What was held at its end is listed", statement.open_reserves
    rows = [
        Row(
            reserve.request_id or reserve.reference,
            with_query("admin:find", q=reserve.reference),
            f"{reserve.credits:,} credits since {_at(reserve.since)}",
        )
        for reserve in reserves[:LISTED]
    ]
    when = "at its end" if now >= month.ends_at else "so far"
    held = f"{statement.closing.reserved:,} credits {when}, for {_count(len(reserves), 'batch', verb=False)}."
    says = held if reserves else "Nothing was held." if now >= month.ends_at else "Nothing is held so far."
    standing = Standing.DONE if now >= month.ends_at else Standing.WAITING
    return Line(name, standing, says, page, rows=rows, more=len(reserves) - len(rows))


def of_equations(month: Month, figures: MonthFigures, check: LastCheck | None) -> Line:
    """Return whether reserved = settled + refunded for every final batch, by its own figures and by the last check."""
    name = "Every final batch has reserved = settled + refunded"
    found = [each for each in check.findings if each.subject.startswith("bat_")] if check else []
    sums = f"{figures.reserved:,} = {figures.settled:,} + {figures.refunded:,}"
    if not (figures.unequal or found):
        return Line(name, Standing.DONE, f"{_count(figures.final, 'batch', verb=False)}: {sums}.", _batches(month))
    rows = [Row(each.subject, each.address, each.detail) for each in found[:LISTED]]
    count = max(figures.unequal, len({each.subject for each in found}))
    return Line(
        name,
        Standing.WRONG,
        f"{_count(count, 'batch')} not explained; together {sums}.",
        _batches(month),
        f"{_count(count, 'batch')} not explained",
        rows,
        len(found) - len(rows),
    )


def of_statement(statement: Statement, page: str) -> Line:
    """Return whether opening + movements = closing."""
    name, says = "The statement adds up", f"Opening + movements = closing. {_additions(statement)}."
    faults = faults_of(statement)
    if not faults:
        return Line(name, Standing.DONE, says, page)
    rows = [Row("", "", fault) for fault in faults]
    return Line(name, Standing.WRONG, says, page, "the statement does not add up", rows)


def of_check(month: Month, check: LastCheck | None) -> Line:
    """Return whether the last check over all books, after the month's end, has found nothing of this customer's."""
    name, home = "The last check of the books is clean", reverse("admin:index")
    if check is None:
        return Line(name, Standing.WAITING, "None has run yet.", home, "the books were not checked yet")
    batches = _count(check.batches, "batch", verb=False)
    says = f"Checked {_at(check.checked_at)}: {batches}, {_count(check.entries, 'entry', 'entries', verb=False)}"
    if check.broken:
        rows = [Row(each.subject, each.address, f"{each.promise} {each.detail}") for each in check.findings[:LISTED]]
        found = f"{_count(check.broken, 'discrepancy', 'discrepancies', verb=False)} found"
        return Line(name, Standing.WRONG, f"{says}; {found}.", home, found, rows, check.broken - len(rows))
    if check.hidden:
        return Line(name, Standing.WAITING, f"{says}; being looked into.", home, "the last check is being looked into")
    if check.overdue or check.checked_at < month.ends_at:
        wanted = "overdue" if check.overdue else "from before the month's end"
        return Line(name, Standing.WAITING, f"{says}; it is {wanted}.", home, f"the last check is {wanted}")
    return Line(name, Standing.DONE, f"{says}; nothing unexplained.", home)


def of_refunds(figures: MonthFigures, page: str) -> Line:
    """Return whether each failed item of the month's final batches was refunded."""
    name, refunded = "Every failed item is refunded", figures.failed - figures.unrefunded
    says = f"{refunded:,} of {figures.failed:,} failed items; {figures.refunded:,} credits."
    if not figures.failed:
        return Line(name, Standing.DONE, "No item failed.")
    if not figures.unrefunded:
        return Line(name, Standing.DONE, says, f"{page}&kind={Entry.Kind.REFUND.value}")
    missing = f"{_count(figures.unrefunded, 'failed item')} not refunded"
    return Line(name, Standing.WRONG, says, reverse("admin:index") + "#attention", missing)


def of_adjustments(statement: Statement, entries: Sequence[Entry], page: str) -> Line:
    """Return the corrections of the month, each with its reason: to be read, whatever they are."""
    count = sum(moved.count for moved in statement.moved if moved.kind.startswith("adjustment"))
    rows = [
        Row(f"{_signed(each)} credits", with_query("admin:find", q=each.pk), f"{_at(each.created_at)}: {each.reason}")
        for each in entries
    ]
    name = "Adjustments are listed with their reasons"
    says = f"{_count(count, 'adjustment', verb=False)}." if count else "None."
    return Line(name, Standing.DONE, says, page, rows=rows, more=count - len(rows))


def of_closing(month: Month, statement: Statement, page: str) -> Line:
    """Return whether the month is closed: with the month in UTC in which it ends, which may be the one after."""
    name = "The month is closed"
    if statement.closed:
        return Line(name, Standing.DONE, "No entry can come into it any more.", page)
    with_ = month_at(month.ends_at - timedelta(microseconds=1))
    says = f"Not yet. Sora2 closes months in UTC, after their end: this one with {with_.name} in UTC."
    return Line(
        name, Standing.WAITING, f"{says} Until then a late entry could come into it.", page, "it is not closed yet"
    )


def of_usage_invoice(month: Month, file: MonthFile | None) -> Line:
    """Return whether the invoice of what was used is there, for a customer who wants one."""
    name = "The usage invoice is made"
    if file is None:
        says = f"Not yet. It is made after {month.month} (UTC) is closed, with nothing due."
        return Line(name, Standing.WAITING, says, missing="its usage invoice is not made yet")
    if file.usage_invoice is None:
        return Line(name, Standing.DONE, "None: no credit was used in it, or none was wanted when its files were made.")
    says = f"{file.usage_invoice}, with nothing due: it was paid before."
    return Line(name, Standing.DONE, says, reverse("admin:invoice", args=[file.usage_invoice.pk]))


def of_seal(statement: Statement, leaf: SealLeaf | None) -> Line:
    """Return whether a seal is over the month's last entry."""
    name, address = "Its last entry is sealed", reverse("admin:seal_list")
    if not statement.through:
        return Line(name, Standing.DONE, "There is no entry yet.", address)
    if leaf is None:
        says = f"Entry {statement.through:,} is not sealed yet: that is done every hour."
        return Line(name, Standing.WAITING, says, address, "its last entry is not sealed yet")
    seal = f"seal {leaf.seal_id:,} of {_at(leaf.seal.sealed_at)}"
    says = f"Entry {statement.through:,}, by {seal}, which is over entry {leaf.seq:,}."
    return Line(name, Standing.DONE, says, address)


def of_sign_offs(figures: MonthFigures) -> Line:
    """Return how many final batches somebody has signed off. That is for people to want: a month is filed without."""
    name, says = "Batches are signed off", f"{figures.signed:,} of {figures.final:,}; not needed to file the month."
    unsigned = figures.final - figures.signed
    rows = [Row(batch.request_id, sign_off_address(batch.pk), _sum(batch)) for batch in figures.unsigned_batches]
    standing = Standing.WAITING if unsigned else Standing.DONE
    return Line(name, standing, says, rows=rows, more=unsigned - len(rows))


def _batches(month: Month, **more: str) -> str:
    created = {"from": timestamp(month.starts_at) or "", "until": timestamp(month.ends_at) or ""}
    return with_query("admin:batch_list", mode=Mode.LIVE.value, **created, **more)


def _count(count: int, word: str, plural: str = "", *, verb: bool = True) -> str:
    said = counted(count, word, plural)
    return f"{said} {'is' if count == 1 else 'are'}" if verb else said


def _at(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _additions(statement: Statement) -> str:
    """Return opening + movements = closing of each figure, such as `Funded 15,000 − 30 = 14,970`."""
    sums = []
    for name in ("funded", "available", "reserved", "settled"):
        opening, moved, closing = (
            getattr(each, name) for each in (statement.opening, statement.effect, statement.closing)
        )
        sums.append(f"{name} {opening:,} {'−' if moved < 0 else '+'} {abs(moved):,} = {closing:,}")
    return "; ".join(sums).capitalize()


def _signed(entry: Entry) -> str:
    return f"{'+' if entry.kind == Entry.Kind.ADJUSTMENT_IN else '−'}{entry.amount:,}"


def _holds(batch: Batch) -> str:
    return f"{batch.state}, holds {batch.credits:,} credits"


def _sum(batch: Batch) -> str:
    return f"{batch.credits:,} = {batch.settled:,} + {batch.refunded:,}"
