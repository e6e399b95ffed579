"""The pages of customers: the list of them, and an account."""

import pytest

from tests.factories import make_account
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db


def test_staff_find_a_customer_by_a_part_of_its_name() -> None:
    acme, _ = make_account(name="Acme Corp"), make_account(name="Globex")
    page = staff("support").get("/admin/customers/?customer=acme")
    assert "Acme Corp" in words_of(page)
    assert "Globex" not in words_of(page)
    assert f"/admin/customers/{acme.organization.pk}" in page.content.decode()


def test_whoever_belongs_to_one_customer_is_led_to_its_account() -> None:
    acme = make_account(name="Acme Corp")
    answer = member(acme.organization, "customer developer").get("/admin/customers/", follow=True)
    assert answer.redirect_chain == [(f"/admin/customers/{acme.organization.pk}", 302)]
    assert "Acme Corp" in words_of(answer)
