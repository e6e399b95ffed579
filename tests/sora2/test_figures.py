"""How figures, times and bars read."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.utils import timezone

from ledger.pages import Equation, Part
from sora2.templatetags import figures

AT = datetime(2026, 1, 24, 10, 0, 7, 123456, tzinfo=UTC)


@pytest.mark.parametrize(("value", "shown"), [(None, "–"), (0, "0"), (1204000, "1,204,000"), (-10, "−10")])
def test_a_number_has_its_thousands_separated(value: int | None, shown: str) -> None:
    assert figures.credits(value) == shown


@pytest.mark.parametrize(("cents", "shown"), [(0, "$0.00"), (5, "$0.05"), (476, "$4.76"), (123_450, "$1,234.50")])
def test_an_amount_has_its_cents(cents: int, shown: str) -> None:
    assert figures.dollars(cents) == shown


@pytest.mark.parametrize(("micros", "shown"), [(61_270, "$0.06127"), (1_000_000, "$1"), (10_000_000, "$10")])
def test_a_small_price_is_told_as_exactly_as_it_is(micros: int, shown: str) -> None:
    assert figures.micro_dollars(micros) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"), [(0, 0, "100 %"), (312, 312, "100 %"), (9999, 10000, "99 %"), (0, 3, "0 %")]
)
def test_hundred_percent_means_all(part: int, whole: int, shown: str) -> None:
    assert figures.whole_percent(part, whole) == shown


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (timedelta(milliseconds=840), "0.8 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=4, seconds=39), "4 min 39 s"),
        (timedelta(hours=3, minutes=12, seconds=50), "3 h 12 min"),
        (timedelta(days=2), "2 d"),
    ],
)
def test_a_duration_is_told_in_its_two_greatest_units(length: timedelta, shown: str) -> None:
    assert figures.duration(length) == shown


def test_a_time_in_a_table_is_utc_with_microseconds_on_hover() -> None:
    shown = figures.instant(AT)
    assert ">2026-01-24 10:00:07</time>" in shown
    assert 'title="2026-01-24 10:00:07.123456 UTC"' in shown
    assert 'datetime="2026-01-24T10:00:07.123456Z"' in shown


def test_a_moment_names_the_zone_and_its_age() -> None:
    assert "UTC · 3 min" in figures.moment(timezone.now() - timedelta(minutes=3))
    assert "ago" in figures.moment(timezone.now() - timedelta(minutes=3))
    assert "· in 4 min" in figures.moment(timezone.now() + timedelta(minutes=5))
    assert figures.moment(None) == "–"


def test_a_time_of_today_in_a_narrow_column_goes_without_its_date() -> None:
    assert ">2026-01-24 10:00</time>" in figures.clock(AT)
    assert f">{timezone.now():%H:%M}" in figures.clock(timezone.now())
    assert figures.clock(None) == "–"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.com/hook", "example.com/hook"),
        ("http://127.0.0.1:8000/hook", "http://127.0.0.1:8000/hook"),
        (f"https://example.com/{'a' * 40}/the-end", "example.com/aaaaaaaaaaaaaaaaaaa…aaaa/the-end"),
    ],
)
def test_a_long_address_loses_its_middle(address: str, shown: str) -> None:
    assert figures.short_url(address) == shown


def test_a_state_is_a_sign_and_a_word() -> None:
    assert "◑</span> partial" in figures.pill("partial")
    assert "·</span> never heard of" in figures.pill("never_heard_of")


def test_a_bar_says_in_words_what_it_shows_and_marks_no_style() -> None:
    bar = figures.bar([Part("Settled", 90, "accent"), Part("Refunded", 10, "quiet"), Part("Held", 0, "held")], 100)
    assert 'aria-label="Settled 90, Refunded 10, of 100"' in bar
    assert 'x="900.0" y="0" width="100.0"' in bar
    assert "style=" not in bar


def test_what_is_shown_is_escaped() -> None:
    assert "<b>" not in figures.short_id("<b>") + figures.pill("<b>") + figures.copyable("<b>")


def test_an_equation_that_holds_is_ticked() -> None:
    shown = _shown(Equation("Reserved", 100, (Part("Settled", 90, "accent"), Part("Refunded", 10, "quiet"))))
    assert "✓" in shown
    assert "broken" not in shown


def test_a_broken_equation_says_the_difference_in_words() -> None:
    missing = Equation("Reserved", 100, (Part("Settled", 90, "accent"), Part("Refunded", 5, "quiet")))
    assert "5 credits of reserved are unexplained" in _shown(missing)
    too_much = Equation("Reserved", 100, (Part("Settled", 90, "accent"), Part("Refunded", 1090, "quiet")))
    assert "more than reserved, by 1,080 credits" in _shown(too_much)


def _shown(equation: Equation) -> str:
    return Template('{% include "admin/parts/equation.html" %}').render(Context({"equation": equation}))


def test_a_word_says_what_it_means_and_each_has_an_id_of_its_own() -> None:
    html = Template('{% term "settle" "Settled" %} {% term "wallet" %}').render(Context())
    assert 'popovertarget="term-1">Settled</button><span class="meaning" id="term-1" popover><b>settle</b>: ' in html
    assert 'id="term-2" popover><b>wallet</b>: The credits of one organization in one mode.' in html


def test_a_word_that_the_glossary_does_not_know_cannot_be_explained() -> None:
    with pytest.raises(KeyError, match="jargon"):
        Template('{% term "jargon" %}').render(Context())
