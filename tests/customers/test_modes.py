"""LIVE or TEST: a customer's person has a switch, and what was opened in one mode stays in it."""

import pytest
from django.test import Client

from customers.models import Mode
from tests.factories import make_account, make_batch
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


def test_lists_show_the_mode_of_the_switch_and_staff_both() -> None:
    account = make_account()
    live, test = make_batch(account.api, request_id="in-live"), make_batch(account.test_api, request_id="in-test")
    client = member(account.organization, "customer admin")
    assert listed(client) == {live.pk}
    client.post(SWITCH, {"mode": "test"})
    assert listed(client) == {test.pk}
    assert listed(client, "?mode=live") == {live.pk}
    assert listed(staff("finance")) == {live.pk, test.pk}


def test_the_file_of_a_list_holds_what_the_list_shows() -> None:
    account = make_account()
    make_batch(account.api, request_id="in-live")
    make_batch(account.test_api, request_id="in-test")
    client = member(account.organization, "customer finance")
    client.post(SWITCH, {"mode": "test"})
    lines = b"".join(client.get("/admin/batches/export.csv")).decode()
    assert "in-test" in lines
    assert "in-live" not in lines


def test_an_order_stays_in_the_mode_in_which_its_form_was_opened() -> None:
    account = make_account()
    client = member(account.organization, "customer developer")
    client.post(SWITCH, {"mode": "test"})
    form = form_to(forms_of(client.get("/admin/batches/new")), "/admin/batches/new").fields
    client.post(SWITCH, {"mode": "live"})
    priced = client.post("/admin/batches/new", {**form, "rows": "A cat", "step": "price"})
    assert priced.context["mode"] == Mode.TEST


def listed(client: Client, query: str = "") -> set[str]:
    return {row.batch.pk for row in client.get(f"/admin/batches/{query}").context["found"].rows}
