"""The audit log as a page: who sees it, what fits which filter, where it leads, and its file."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from batches.audit_pages import SHOWN
from customers.models import AuditEvent, Mode, User
from customers.services import audit, create_staff
from tests.factories import Account, make_account, make_batch
from tests.people import member, staff, superuser, words_of

pytestmark = pytest.mark.django_db

LOG, CSV = "/admin/audit/", "/admin/audit/export.csv"


@pytest.fixture
def dana() -> User:
    return create_staff(username="dana", role="finance")[0]


def event(action: str = "period.close", **more: Any) -> None:
    audit(**{"actor": "system", "action": action, **more})


def shown(query: str = "", role: str = "auditor") -> str:
    response = staff(role).get(f"{LOG}{query}")
    assert response.status_code == 200
    return words_of(response)


def rows(query: str = "") -> list[str]:
    """Return the acts that the page shows, newest first; those of making the people who look are left out."""
    log = superuser().get(f"{LOG}{query}").context["log"]
    return [line.event.subject for line in log.lines if line.event.action != "staff.create"]


def exported(query: str = "") -> list[dict[str, str]]:
    response: Any = superuser().get(f"{CSV}{query}")
    text = b"".join(response.streaming_content).decode()
    assert text.startswith("at,actor,name,action,")
    return list(csv.DictReader(io.StringIO(text)))


# --- who -----------------------------------------------------------------------------------------------------------


def test_who_reads_everything_sees_it_and_nobody_else(account: Account) -> None:
    for address in (LOG, CSV):
        seen = {
            role: staff(role).get(address).status_code
            for role in ("finance", "finance approver", "auditor", "support", "sales ops", "")
        }
        assert seen == {
            **dict.fromkeys(("finance", "finance approver", "auditor"), 200),
            **dict.fromkeys(("support", "sales ops", ""), 403),
        }
        for role in ("customer admin", "customer finance", "customer developer"):
            assert member(account.organization, role).get(address).status_code == 403


def test_settings_leads_there_for_who_may_see_it() -> None:
    assert f'href="{LOG}"' in staff("auditor").get("/admin/settings/").content.decode()
    assert f'href="{LOG}"' not in staff("support").get("/admin/settings/").content.decode()


def test_a_person_and_a_customer_lead_to_their_acts(account: Account, dana: User) -> None:
    person = reverse("admin:customers_user_change", args=[quote(dana.pk)])
    customer = reverse("admin:customers_organization_change", args=[quote(account.organization.pk)])
    reader, support = staff("auditor"), staff("support")
    assert f'href="{LOG}?person={dana.pk}"' in reader.get(person).content.decode()
    assert f'href="{LOG}?customer={account.organization.pk}"' in reader.get(customer).content.decode()
    assert LOG not in support.get(person).content.decode()


# --- what ----------------------------------------------------------------------------------------------------------


def test_an_event_says_who_what_on_what_how_it_ended_and_why(account: Account, dana: User) -> None:
    batch = make_batch(account.api)
    event(
        "batch.sign_off",
        actor=dana.pk,
        organization_id=account.organization.pk,
        subject=batch.pk,
        outcome="already_signed",
        detail={"note": "Compared by phone", "reserved": 30},
    )
    response = staff("auditor").get(f"{LOG}?action=batch.sign_off")
    page = words_of(response)
    for word in ("dana", "sign a batch off", "Acme", "✕ already signed", "Compared by phone", "reserved 30"):
        assert word in page
    assert f'href="/admin/batches/{batch.pk}"' in response.content.decode()


def test_subjects_without_an_id_of_their_own_lead_to_their_pages_too(account: Account, dana: User) -> None:
    event("route.pause", subject="openai", detail={"reason": "Slow"})
    event("period.close", subject="2026-10")
    event("two_step.set_up", subject=dana.pk)
    event("key.revoke", subject=account.keys[Mode.LIVE].pk)
    html = superuser().get(LOG).content.decode()
    assert 'href="/admin/routes/openai"' in html
    assert 'href="/admin/ledger/periods/2026-10"' in html
    assert "/admin/customers/user/" in html
    key = account.keys[Mode.LIVE]
    assert f"/admin/customers/{key.organization_id}/keys/{key.pk}" in html


def test_what_somebody_wrote_is_shown_as_text() -> None:
    event(detail={"reason": "<script>alert(1)</script>"}, subject="<b>")
    html = superuser().get(LOG).content.decode()
    assert "<script>alert" not in html
    assert "<b>" not in html.replace("<b>Sora", "")


def test_an_act_of_an_earlier_release_is_shown_as_it_is_stored() -> None:
    event("widget.twist_off")
    assert "widget: twist off" in shown("?action=widget.twist_off")


# --- filters -------------------------------------------------------------------------------------------------------


def test_each_filter_keeps_what_fits(account: Account, dana: User) -> None:
    event(subject="1", actor=dana.pk)
    event(subject="2", organization_id=account.organization.pk, outcome="refused")
    event("batch.cancel", subject="3", organization_id=make_account(name="Globex").organization.pk)
    fitting = {
        "?person=dana": ["1"],
        f"?person={dana.pk}": ["1"],
        "?person=system&action=period.close": ["2"],
        "?customer=acme": ["2"],
        f"?customer={account.organization.pk}": ["2"],
        "?action=batch.cancel": ["3"],
        "?outcome=refused": ["2"],
        "?outcome=not%20done": ["2"],
        "?subject=3": ["3"],
        "?from=2100-01-01": [],
        "?until=2100-01-01&action=period.close": ["2", "1"],
        "?customer=nobody": [],
    }
    assert {query: rows(query) for query in fitting} == fitting


def test_times_are_days_or_moments_in_utc() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    AuditEvent.objects.create(at=at, actor="system", action="period.close", subject="old")
    assert rows("?from=2026-03-01&until=2026-03-02") == ["old"]
    assert rows("?from=2026-03-01%2012:00&until=2026-03-01%2012:01") == ["old"]
    assert rows("?from=2026-03-01%2012:01&until=2026-03-02") == []
    assert "This is no time" in shown("?from=tomorrow")


def test_a_name_that_fits_several_customers_asks_which() -> None:
    first, second = (make_account(name=name).organization for name in ("Globex East", "Globex West"))
    response = staff("auditor").get(f"{LOG}?customer=globex&outcome=done")
    assert "Which customer?" in words_of(response)
    for each in (first, second):
        assert f"?customer={each.pk}&amp;outcome=done" in response.content.decode()
    assert rows("?customer=Globex%20East") == []


def test_active_filters_are_chips_and_nothing_found_says_what_to_do() -> None:
    page = shown("?outcome=refused&action=batch.cancel")
    assert "Act batch.cancel" in page
    assert "No event fits these filters" in page


@pytest.mark.parametrize(
    "query", ["?after=x", "?after=99999999999999999999", "?subject=%00", "?person=%00", "?after=0"]
)
def test_what_cannot_be_understood_breaks_nothing(query: str) -> None:
    assert staff("auditor").get(f"{LOG}{query}").status_code == 200


# --- many ----------------------------------------------------------------------------------------------------------


def test_pages_go_by_cursor_through_every_event_once() -> None:
    for n in range(2 * SHOWN + 5):
        event(subject=str(n))
    client, seen, query = superuser(), list[str](), "?action=period.close"
    while query:
        log = client.get(f"{LOG}{query}").context["log"]
        seen += [line.event.subject for line in log.lines]
        event(subject="meanwhile", action="batch.cancel")
        query = f"?action=period.close&after={log.next}" if log.next else ""
    assert seen == [str(n) for n in reversed(range(2 * SHOWN + 5))]


def test_the_number_of_queries_does_not_depend_on_the_number_of_events(account: Account) -> None:
    client = staff("auditor")
    counts = []
    for times in (1, 20):
        for n in range(times):
            who, _ = create_staff(username=f"p{times}-{n}", role="finance")
            event(actor=who.pk, subject=account.wallets["live"].pk, organization_id=account.organization.pk)  # type: ignore[index]
            event(actor=account.keys["live"].pk, subject=who.pk)  # type: ignore[index]
        with CaptureQueriesContext(connection) as queries:
            client.get(LOG)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12


@pytest.mark.owner
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("at < now()", "customers_audit_by_at"),
        ("actor = 'usr_1'", "customers_audit_by_actor"),
        ("action = 'period.close'", "customers_audit_by_action"),
        ("subject = 'bat_1'", "customers_audit_by_subject"),
        ("outcome <> 'done'", "customers_audit_not_done"),
        ("outcome = 'refused'", "customers_audit_not_done"),
    ],
)
def test_each_filter_has_the_index_that_serves_it_in_the_order_of_the_pages(query: str, index: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        # Of what another one could serve as well, the planner chooses by statistics, which other tests leave behind.
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'customers_auditevent'")
        others = [name for (name,) in cursor.fetchall() if name.startswith("customers_audit_") and name != index]
        cursor.execute(f"DROP INDEX {', '.join(others)}")
        cursor.execute(f"EXPLAIN SELECT * FROM customers_auditevent WHERE {query} ORDER BY at DESC, id DESC LIMIT 51")
        plan = "\n".join(row for (row,) in cursor.fetchall())
    assert index in plan
    assert "Sort" not in plan


# --- the file ------------------------------------------------------------------------------------------------------


def test_the_file_has_exactly_what_is_filtered_and_says_that_it_was_made(account: Account, dana: User) -> None:
    event("batch.cancel", actor=dana.pk, organization_id=account.organization.pk, detail={"reason": "Asked, by phone"})
    event("period.close", subject="2026-10")
    [line] = exported("?action=batch.cancel")
    assert (line["name"], line["organization"], line["why"]) == ("dana", "Acme", "Asked, by phone")
    assert line["at"].endswith("Z")
    assert AuditEvent.objects.get(action="audit.export").detail == {"filters": {"action": "batch.cancel"}}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'x"])
def test_nothing_in_the_file_is_a_formula(text: str) -> None:
    event(subject=text, detail={"reason": text})
    [line] = exported("?action=period.close")
    assert line["subject"] == f"'{text}"
    assert line["why"] == f"'{text}"


def test_a_file_of_what_cannot_be_understood_is_refused() -> None:
    response = superuser().get(f"{CSV}?from=tomorrow")
    assert response.status_code == 400
    assert "Nothing was exported" in response.content.decode()
    assert not AuditEvent.objects.filter(action="audit.export").exists()
