"""The list of batches as CSV: exactly what is chosen, for whoever may see it."""

import csv
import io
from typing import Any

import pytest

from batches.export_csv import COLUMNS, MONEY_COLUMNS
from batches.failures import FailureType
from batches.models import Batch
from customers.models import AuditEvent
from sora2.times import timestamp
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db

ADDRESS = "/admin/batches/export.csv"


def sent(client: Any, query: dict[str, Any] | None = None) -> bytes:
    response = client.get(ADDRESS, query)
    assert response.status_code == 200, response.status_code
    return b"".join(response)


def rows(client: Any, query: dict[str, Any] | None = None) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(sent(client, query).decode(), newline="")))


def test_a_file_holds_each_batch_newest_first(account: Account) -> None:
    first = end_batch(make_batch(account.api, 10), failed={7: FailureType.TIMEOUT})
    second = make_batch(account.test_api, 2, request_id="order-2", deadline="2100-01-01T00:00:00Z")
    found = rows(staff())
    assert list(found[0]) == [*COLUMNS, *MONEY_COLUMNS]
    assert [row["batch_id"] for row in found] == [second.pk, first.pk]
    assert found[1] == {
        "batch_id": first.pk, "request_id": "order-1", "organization_id": account.organization.pk, "customer": "Acme",
        "mode": "live", "state": "partial", "items": "10", "succeeded": "9", "failed": "1",
        "created_at": timestamp(first.created_at), "started_at": timestamp(first.started_at), "canceled_at": "",
        "finished_at": timestamp(first.finished_at), "deadline": "", "created_via": "api",
        "created_by": first.created_by, "retry_of": "", "price_version": first.price_version,
        "reserved": "100", "settled": "90", "refunded": "10", "held": "0",
    }  # fmt: skip
    assert found[0]["deadline"] == "2100-01-01T00:00:00.000000Z"
    assert (found[0]["succeeded"], found[0]["held"]) == ("", "20")


def test_it_holds_exactly_what_is_filtered(account: Account) -> None:
    make_batch(account.api)
    make_batch(account.test_api, request_id="order-2")
    make_batch(make_account(name="Globex").api, request_id="order-3")
    for query, expected in (
        ({"mode": "test"}, ["order-2"]),
        ({"customer": "globex"}, ["order-3"]),
        ({"q": "order-1", "state": "open"}, ["order-1"]),
        ({"until": "2020-01-01"}, []),
    ):
        assert [row["request_id"] for row in rows(staff(), query)] == expected


def test_it_holds_what_was_ticked_alone(account: Account) -> None:
    picked = [make_batch(account.api, request_id=f"order-{number}").pk for number in range(3)]
    asked = {"pick": picked[:2], "ticked": "1"}
    assert [row["batch_id"] for row in rows(staff(), asked)] == picked[1::-1]
    stranger = member(make_account(name="Globex").organization)
    assert rows(stranger, asked) == []


def test_nothing_ticked_makes_no_file_and_says_so(account: Account) -> None:
    make_batch(account.api)
    response = staff().get(ADDRESS, {"ticked": "1", "mode": "live"}, follow=True)
    assert response.redirect_chain == [("/admin/batches/?mode=live", 302)]
    assert "no batch is ticked" in words_of(response)


def test_rows_end_as_rfc_4180_has_it_and_no_spreadsheet_runs_a_text(account: Account) -> None:
    make_batch(account.api, request_id='=1+1,"\n')
    evil = make_account(name="@Globex")
    make_batch(evil.api, request_id="'quoted")
    content = sent(staff())
    assert content.count(b"\r\n") == 3
    assert content.endswith(b"\r\n")
    assert b'"\'=1+1,""\n",' in content
    first, _ = rows(staff())
    assert (first["request_id"], first["customer"]) == ("''quoted", "'@Globex")


@pytest.mark.parametrize("role", ["support", "customer developer"])
def test_who_sees_no_credits_gets_none(account: Account, role: str) -> None:
    make_batch(account.api)
    client = staff(role) if role == "support" else member(account.organization, role)
    assert list(rows(client)[0]) == list(COLUMNS)


def test_a_customer_gets_their_own_batches(account: Account) -> None:
    make_batch(account.api)
    make_batch(make_account(name="Globex").api, request_id="theirs")
    assert [row["request_id"] for row in rows(member(account.organization))] == ["order-1"]


def test_a_filter_that_says_nothing_makes_no_file(account: Account) -> None:
    make_batch(account.api)
    response = staff().get(ADDRESS, {"from": "soon"})
    assert response.status_code == 400
    assert "'soon' is no day or time" in response.content.decode()
    assert not AuditEvent.objects.filter(action="batch.export").exists()


def test_an_export_by_our_staff_is_written_down(account: Account) -> None:
    batch = make_batch(account.api)
    sent(member(account.organization))
    assert not AuditEvent.objects.filter(action="batch.export").exists()
    sent(staff(), {"mode": "live", "pick": batch.pk})
    event = AuditEvent.objects.get(action="batch.export")
    assert event.actor.startswith("usr_")
    assert event.detail == {"filters": {"mode": "live", "picked": [batch.pk]}, "credits": True}


def test_an_export_takes_as_many_queries_whatever_the_number_of_batches(
    account: Account, django_assert_num_queries: Any
) -> None:
    client = staff()
    for number in range(8):
        make_batch(account.api, request_id=f"order-{number}")
    sent(client)
    with django_assert_num_queries(6):
        assert len(rows(client)) == Batch.objects.count() == 8
