"""The page of prices: it says what the catalogue and the package say, now and to come."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from ledger.packages import LIST_PRICE, PREPAID, ListPrice, Package
from tests.batches.offers import change_model, publish, retire
from tests.documentation.reading import get

pytestmark = pytest.mark.django_db


def page(**query: Any) -> str:
    answer = get("/docs/pricing", data=query)
    assert answer.status_code == 200
    return " ".join(answer.text.split())


# --- what credits cost ------------------------------------------------------------------------------------------------


def test_the_package_is_what_was_promised() -> None:
    assert (LIST_PRICE.micros, PREPAID.cents, PREPAID.credits) == (61_270, 500_000, 102_000)
    assert PREPAID.percent_below(LIST_PRICE) == 20
    assert PREPAID.clips(97) == 1_050
    assert PREPAID.clips(10) == 10_200
    assert PREPAID.cents_per_clip(97) == 476
    assert PREPAID.cents_per_clip(10) == 49


@pytest.mark.parametrize(("credits", "cents"), [(0, 0), (1, 6), (100, 613), (1_000, 6_127), (102_000, 624_954)])
def test_the_list_price_is_rounded_to_a_cent(credits: int, cents: int) -> None:
    assert LIST_PRICE.cents(credits) == cents


def test_half_a_cent_is_rounded_up() -> None:
    assert ListPrice("USD", 5_000).cents(1) == 1
    assert ListPrice("USD", 4_999).cents(1) == 0
    assert Package("p", "USD", cents=1, credits=2).cents_of(1) == 1
    assert PREPAID.cents_of(PREPAID.credits) == PREPAID.cents


def test_a_package_that_buys_none_says_so() -> None:
    assert PREPAID.cents_per_clip(PREPAID.credits) is None


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_figures_of_the_package_stand_on_the_page() -> None:
    text = page()
    for figure in ("$0.06127", "$5,000<", "102,000 credits", "20 % below", "$0.04902", "never expire"):
        assert figure in text, figure
    assert '>1,050</td><td class="figure">~$4.76<' in text
    assert '>10,200</td><td class="figure">~$0.49<' in text


def test_every_length_of_every_model_has_its_price() -> None:
    text = page()
    for seconds, credits, listed in ((4, 10, "$0.61"), (12, 90, "$5.51"), (6, 73, "$4.47"), (8, 97, "$5.94")):
        cells = [f"{seconds} s", str(credits), listed]
        assert "".join(f'<td class="figure">{cell}</td>' for cell in cells) in text
    assert "1792x1024" in text
    assert "2026-01-24" in text


def test_a_new_price_list_counts_at_once() -> None:
    publish("spring", {"veo-3": (200, 8)})
    text = page()
    assert "<code>spring</code>" in text
    assert ">510</td>" in text
    assert ">1,050</td>" not in text


def test_a_price_list_to_come_is_announced_with_what_it_changes() -> None:
    assert "to-come" not in page()
    at = timezone.now() + timedelta(days=30)
    publish("autumn", {"veo-3": (120, 8)}, effective_from=at)
    text = page()
    assert "<code>autumn</code> follows" in text
    assert f"{at:%-d %B %Y, %H:%M} UTC" in text
    assert '<td class="figure">97 for 8 s</td><td class="figure">120 for 8 s</td>' in text
    assert "10 for 4 s" not in text


def test_a_deprecated_model_says_until_when_and_what_to_take_instead() -> None:
    at = datetime(2030, 5, 1, 12, tzinfo=UTC)
    change_model("sora-2", deprecated_at=timezone.now(), sunset_at=at, replacement_id="veo-3")
    text = page()
    assert "deprecated</span>" in text
    assert "1 May 2030, 12:00 UTC</time>; take <code>veo-3</code> instead" in text


def test_a_retired_model_has_no_price_any_more() -> None:
    retire("sora-2", replacement="veo-3")
    text = page()
    assert "Retired, and not taken any more: <code>sora-2</code>" in text
    assert ">10,200</td>" not in text
    assert '<option value="sora-2">' not in text


def test_without_prices_the_page_says_whom_to_ask() -> None:
    with time_machine.travel(datetime(2020, 1, 1, tzinfo=UTC)):
        assert "No prices are in force at this moment" in page()


# --- the estimate -----------------------------------------------------------------------------------------------------


def test_an_estimate_counts_credits_and_money() -> None:
    text = page(model="sora-2-pro", seconds="12", count="1000")
    assert "<b>1,000 × 90 = 90,000 credits</b>" in text
    assert "$5,514.30 as you go, $4,411.76 prepaid" in text


def test_without_a_question_an_example_is_counted() -> None:
    assert "100 × 10 = 1,000 credits" in page()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"model": "veo-3", "seconds": "12", "count": "1"}, "veo-3 makes clips of 4, 6 or 8 seconds."),
        ({"count": "0"}, "greater than or equal to 1"),
        ({"count": "ten"}, "Write a whole number without separators."),
        ({"count": "1000001"}, "less than or equal to 1000000"),
        ({"model": "sora-9"}, "sora-9 is not one of the available choices"),
        ({"seconds": "5"}, "5 is not one of the available choices"),
        ({"count": ""}, "This field is required"),
        ({"count": "<script>"}, "Write a whole number"),
    ],
)
def test_what_cannot_be_estimated_is_said(query: dict[str, str], said: str) -> None:
    text = page(**query)
    assert said in text
    assert "<script>" not in text
    assert " credits</b>" not in text
