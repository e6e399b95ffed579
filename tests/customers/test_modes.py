"""LIVE or TEST: a customer's person has a switch, and what was opened in one mode stays in it."""

import pytest

from customers.models import Mode
from tests.factories import make_account
from tests.markup import form_to, forms_of
from tests.people import member, staff

pytestmark = pytest.mark.django_db

SWITCH = "/admin/mode"


def test_the_switch_says_what_home_shows_and_stays_where_it_was_put() -> None:
    client = member(make_account().organization, "customer admin")
    assert client.get("/admin/").context["switch"] == Mode.LIVE
    client.post(SWITCH, {"mode": "test"})
    assert client.get("/admin/").context["switch"] == Mode.TEST
    client.post(SWITCH, {"mode": "live"})
    assert client.get("/admin/").context["switch"] == Mode.LIVE


def test_the_page_says_in_which_mode_it_is() -> None:
    client = member(make_account().organization, "customer admin")
    client.post(SWITCH, {"mode": "test"})
    page = client.get("/admin/").content.decode()
    assert 'value="test" class="mode test" aria-current="true"' in page
    assert "play money" in page


def test_staff_have_no_switch() -> None:
    client = staff("finance")
    assert client.post(SWITCH, {"mode": "test"}).status_code == 302
    page = client.get("/admin/")
    assert page.context["switch"] == ""
    assert SWITCH not in page.content.decode()


@pytest.mark.parametrize("mode", ["", "prod", "TEST", "\0"])
def test_the_switch_has_two_ends_only(mode: str) -> None:
    client = member(make_account().organization, "customer admin")
    client.post(SWITCH, {"mode": mode})
    assert client.get("/admin/").context["switch"] == Mode.LIVE


def test_an_address_that_names_a_mode_is_in_that_one() -> None:
    account = make_account()
    client = member(account.organization, "customer admin")
    client.post(SWITCH, {"mode": "test"})
    page = client.get(f"/admin/ledger/{account.organization.pk}?mode=live")
    assert page.context["found"].wallet.mode == Mode.LIVE
    assert form_to(forms_of(page), SWITCH).fields.keys() == {"csrfmiddlewaretoken"}
