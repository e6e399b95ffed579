"""Lots: what was used is taken first in, first out, and parts of a price always add up to it."""

from datetime import UTC, datetime

from ledger.models import Entry
from ledger.revenue.lots import Attribution, Flow, Lot, Mark, Part, attribute

IN, GIFT, OUT = Entry.Kind.GRANT, Entry.Kind.ADJUSTMENT_IN, Entry.Kind.ADJUSTMENT_OUT
AT = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)


def flow(seq: int, credits: int, cents: int = 0, *, kind: str = IN, settled: int = 0, about: str = "") -> Flow:
    return Flow(seq, f"led-{seq}", AT, kind, credits, settled, f"ref-{seq}", about=about, cents=cents, currency="USD")


def mark(month: str, through: int, settled: int) -> Mark:
    return Mark(month, through, available=0, reserved=0, settled=settled)


def used(lot: Lot, *months: str) -> list[tuple[int, int]]:
    return [(part.credits, part.cents) for part in (lot.used(month) for month in months)]


def lots_of(found: Attribution) -> tuple[Lot, ...]:
    assert found.missing == 0
    return found.lots


def test_what_is_used_is_taken_from_the_first_lot_first() -> None:
    # 100 credits for $5.00, then 100 for $4.00. October uses 30, November 100: 70 of the first and 30 of the second.
    first, second = lots_of(
        attribute(
            [flow(1, 100, 500), flow(5, 100, 400, settled=20)],
            [mark("", 0, 0), mark("2026-10", 6, 30), mark("2026-11", 9, 130)],
        )
    )
    assert used(first, "2026-10", "2026-11") == [(30, 150), (70, 350)]
    assert used(second, "2026-10", "2026-11") == [(0, 0), (30, 120)]
    assert (first.remaining, second.remaining) == (Part(0, 0), Part(70, 280))
    assert (first.month, second.month) == ("2026-10", "2026-10")


def test_parts_of_a_price_that_does_not_divide_add_up_to_it() -> None:
    # $10.00 for 3 credits: 333 and a third each. Cumulated and rounded: 333, 667, 1000.
    (lot,) = lots_of(attribute([flow(1, 3, 1000)], [mark(f"2026-1{n}", n + 2, n + 1) for n in range(3)]))
    assert used(lot, "2026-10", "2026-11", "2026-12") == [(1, 333), (1, 334), (1, 333)]
    assert lot.used() == Part(3, 1000)
    assert lot.remaining == Part()


def test_half_a_cent_is_rounded_up_once_and_not_each_time() -> None:
    (lot,) = lots_of(attribute([flow(1, 2, 1)], [mark("2026-10", 2, 1), mark("2026-11", 3, 2)]))
    assert used(lot, "2026-10", "2026-11") == [(1, 1), (1, 0)]


def test_promotional_credits_are_used_in_their_turn_and_are_worth_nothing() -> None:
    promotional, paid = lots_of(attribute([flow(1, 50), flow(2, 100, 500)], [mark("2026-10", 9, 60)]))
    assert (promotional.paid, promotional.currency, promotional.used()) == (False, "", Part(50, 0))
    assert (paid.paid, paid.currency, paid.used()) == (True, "USD", Part(10, 50))


def test_what_goes_out_is_taken_from_the_lot_that_it_is_about_and_then_in_order() -> None:
    # 40 of the second lot's 30 go out: 30 of it, and 10 of the first, at what each cost.
    out = flow(4, 40, kind=OUT, settled=5, about="ref-2")
    first, second = lots_of(attribute([flow(1, 100, 1000), flow(2, 30, 60), out], [mark("2026-10", 9, 25)]))
    assert (second.withdrawn(), second.used()) == (Part(30, 60), Part())
    assert (first.withdrawn(), first.used()) == (Part(10, 100), Part(25, 250))
    assert {taken.by for taken in (*first.taken, *second.taken)} == {None, out}
    assert first.remaining == Part(65, 650)


def test_what_goes_out_about_no_lot_is_taken_first_in_first_out() -> None:
    out = flow(3, 10, kind=OUT, settled=0, about="bat_1")
    first, second = lots_of(attribute([flow(1, 8, 80), flow(2, 8, 160), out], [mark("2026-10", 3, 0)]))
    assert (first.withdrawn(), second.withdrawn()) == (Part(8, 80), Part(2, 40))


def test_what_was_used_before_a_lot_came_is_not_taken_from_it() -> None:
    # All of the first lot was withdrawn or used before the gift came, so what follows is the gift's.
    first, gift = lots_of(
        attribute(
            [flow(1, 10, 100), flow(4, 4, kind=OUT, settled=6), flow(5, 5, kind=GIFT, settled=6)],
            [mark("", 5, 6), mark("2026-10", 8, 9)],
        )
    )
    assert (first.used(""), first.withdrawn(""), first.used("2026-10")) == (Part(6, 60), Part(4, 40), Part())
    assert gift.used("2026-10") == Part(3, 0)
    assert gift.month == ""


def test_a_movement_belongs_to_the_month_whose_end_comes_after_it() -> None:
    marks = [mark("", 1, 0), mark("2026-10", 1, 0), mark("2026-11", 3, 0)]
    earlier, later = lots_of(attribute([flow(1, 1, 1), flow(2, 1, 1)], marks))
    assert (earlier.month, later.month) == ("", "2026-11")


def test_books_in_which_more_was_used_than_came_in_are_told_and_not_hidden() -> None:
    found = attribute([flow(1, 10, 100)], [mark("2026-10", 9, 12)])
    assert (found.missing, found.lots[0].remaining) == (2, Part())


def test_a_wallet_without_lots_has_none() -> None:
    assert attribute([], []) == Attribution((), 0)
