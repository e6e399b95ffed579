"""The pages of credit requests: who sees them, who asks, who decides, and what they say."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from batches.failures import FailureType
from batches.models import Batch
from customers.models import AuditEvent, Mode, User
from ledger import credit_pages
from ledger.approvals import approve, reject, request_credits
from ledger.models import CreditRequest, Entry, Wallet, new_credit_request_id
from sora2.ids import new_id
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, signed_in, words_of

pytestmark = pytest.mark.django_db

LIST, NEW = "/admin/ledger/requests/", "/admin/ledger/requests/new"
EVIDENCE = "https://tickets.example/1"


def person(role: str = "finance", **more: Any) -> User:
    """Return a member of staff with this role, and without a password."""
    user = User.objects.create_user(username=new_id("usr"), is_staff=True, **more)
    user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


def browser(user: User) -> Client:
    return signed_in(user)


def staff(role: str = "finance") -> Client:
    return browser(person(role))


def ask(account: Account, amount: int = 20, **more: Any) -> CreditRequest:
    wallet = account.wallets[more.pop("mode", Mode.LIVE)]
    given: dict[str, Any] = {"reason": "Goodwill", "evidence_url": EVIDENCE, "kind": Entry.Kind.ADJUSTMENT_IN, **more}
    given.setdefault("requested_by", person())
    return request_credits(wallet=wallet, amount=amount, **given)


def at(request: CreditRequest, act: str = "") -> str:
    return f"{LIST}{request.pk}{act}"


def available(account: Account) -> int:
    return Wallet.objects.get(pk=account.wallets[Mode.LIVE].pk).available


def form(account: Account, **more: Any) -> dict[str, Any]:
    """Return what the form sends."""
    filled = {"organization": account.organization.pk, "mode": "live", "kind": "grant", "amount": "500"}
    return {
        **filled,
        "paid": "",
        "currency": "USD",
        "reference": "",
        "about": "",
        "reason": "Paid",
        "evidence_url": EVIDENCE,
        **more,
    }


def asked() -> list[CreditRequest]:
    return list(CreditRequest.objects.filter(basis="two_people").order_by("id"))


# --- who sees what -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["finance", "finance approver", "sales ops", "auditor"])
def test_who_of_ours_sees_credits_sees_their_requests(account: Account, role: str) -> None:
    request, client = ask(account), staff(role)
    assert [client.get(page).status_code for page in (LIST, at(request))] == [200, 200]


def test_support_sees_no_request(account: Account) -> None:
    request, client = ask(account), staff("support")
    assert [client.get(page).status_code for page in (LIST, at(request), NEW)] == [403, 403, 403]


@pytest.mark.parametrize("role", ["customer admin", "customer finance"])
def test_a_customers_people_see_no_request_not_even_their_own(account: Account, role: str) -> None:
    request, client = ask(account), member(account.organization, role)
    assert [client.get(page).status_code for page in (LIST, at(request), NEW)] == [404, 404, 403]
    acts = [client.post(at(request, act)).status_code for act in ("/approve", "/reject")]
    assert (acts, client.post(NEW, form(account)).status_code) == ([403, 403], 403)


@pytest.mark.parametrize("role", ["sales ops", "auditor"])
def test_who_only_reads_is_offered_nothing_and_refused(account: Account, role: str) -> None:
    request, client = ask(account), staff(role)
    assert "Ask for credits" not in words_of(client.get(LIST))
    page = words_of(client.get(at(request)))
    assert "Your role does not decide about credits" in page
    assert "Approve" not in page
    assert client.post(NEW, form(account, step="confirm")).status_code == 403
    assert client.post(at(request, "/approve")).status_code == 403
    assert (len(asked()), available(account)) == (1, 1000)


@pytest.mark.parametrize("address", [LIST, NEW])
def test_looking_changes_nothing(account: Account, address: str) -> None:
    client = staff("finance approver")
    assert client.delete(address).status_code == 405
    assert client.get(at(ask(account), "/approve")).status_code == 405


def test_what_does_not_exist_is_said_in_words() -> None:
    response = staff().get(f"{LIST}{new_credit_request_id()}")
    assert response.status_code == 404
    assert "Nothing here" in words_of(response)


# --- the list ------------------------------------------------------------------------------------------------------


def listed(response: Any) -> list[str]:
    return [row.pk for row in response.context["found"].page.rows]


def test_what_waits_for_a_decision_stands_first_then_the_newest(account: Account) -> None:
    first, second, third = (ask(account) for _ in range(3))
    reject(request=second, decided_by=person())
    pilot = CreditRequest.objects.get(basis="pilot")
    assert listed(staff().get(LIST)) == [third.pk, first.pk, second.pk, pilot.pk]


def test_the_list_says_who_asked_why_and_what_became_of_it(account: Account) -> None:
    anna, ben = person(), person("finance approver")
    approve(request=ask(account, requested_by=anna, reason="Wrong colours"), decided_by=ben)
    page = words_of(staff().get(LIST))
    assert "✓ approved Acme adjustment in +20 Wrong colours" in page
    assert anna.username in page
    assert ben.username in page
    assert "✓ approved pilot Acme grant +1,000" in page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["globex out", "acme grant", "acme in", "pilot", "pilot"]),
        ({"state": "requested"}, ["globex out", "acme grant"]),
        ({"state": "approved", "kind": "adjustment_in"}, ["acme in"]),
        ({"customer": "glob"}, ["globex out", "pilot"]),
        ({"kind": "grant"}, ["acme grant", "pilot", "pilot"]),
        ({"mode": "test"}, ["Sandbox", "Sandbox"]),
        ({"state": "no such state"}, []),
    ],
)
def test_the_list_is_filtered_and_the_filters_can_be_removed(query: dict[str, str], expected: list[str]) -> None:
    acme, globex = make_account(), make_account(name="Globex")
    approve(request=ask(acme, reason="acme in"), decided_by=person())
    ask(acme, kind=Entry.Kind.GRANT, reason="acme grant")
    ask(globex, kind=Entry.Kind.ADJUSTMENT_OUT, reason="globex out")
    response = staff().get(LIST, query)
    reasons = {"Pilot": "pilot"}
    rows = response.context["found"].page.rows
    assert [reasons.get(row.reason, row.reason) for row in rows] == expected
    assert [chip.words.split()[0].lower() for chip in response.context["chips"]] == [k for k in query if k != "mode"]
    if not expected:
        assert "No request fits these filters" in words_of(response)


def test_the_foot_adds_up_what_was_asked_for_by_state(account: Account) -> None:
    for amount in (5, 7):
        ask(account, amount)
    ask(account, 3, kind=Entry.Kind.ADJUSTMENT_OUT)
    approve(request=ask(account, 11), decided_by=person())
    ask(account, 100, mode=Mode.TEST)
    page = words_of(staff().get(LIST))
    assert "All 3 requested +12 −3 All 2 approved +1,011" in page
    assert "rejected +" not in page


def test_the_list_is_paged_by_cursor_and_stable_while_requests_are_added(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credit_pages, "REQUESTS_SHOWN", 2)
    requests = [ask(account).pk for _ in range(3)]
    client = staff()
    first = client.get(LIST)
    ask(account)
    second = client.get(LIST, {"after": first.context["found"].page.next})
    pilot = CreditRequest.objects.get(basis="pilot").pk
    assert (listed(first), listed(second)) == (requests[:0:-1], [requests[0], pilot])
    assert second.context["found"].page.next is None


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_the_pages_take_as_many_queries_whatever_there_is(account: Account) -> None:
    client, request = staff("finance approver"), ask(account)
    before = [queries_of(client, page) for page in (LIST, at(request))]
    for number in range(5):
        approve(request=ask(make_account(name=f"Customer {number}")), decided_by=person())
        approve(request=ask(account), decided_by=person())
    assert [queries_of(client, page) for page in (LIST, at(request))] == before


def test_an_empty_list_says_what_will_appear_there() -> None:
    assert "until a second person has decided" in words_of(staff().get(LIST))


# --- asking --------------------------------------------------------------------------------------------------------


def test_asking_shows_the_effect_in_figures_before_it_asks(account: Account) -> None:
    client = staff()
    preview = client.post(NEW, form(account, reference="INV-7", step="preview"))
    page = words_of(preview)
    assert "Available 1,000 1,500" in page
    assert "Funded 1,000 1,500" in page
    assert "Ask for +500 credits" in page
    assert asked() == []
    response = client.post(NEW, form(account, reference="INV-7", step="confirm"), follow=True)
    (request,) = asked()
    assert response.redirect_chain == [(at(request), 302)]
    assert "Nothing is posted until a second person approves it." in words_of(response)
    assert (request.amount, request.reference, request.state) == (500, "INV-7", "requested")
    assert (request.reason, request.evidence_url, available(account)) == ("Paid", EVIDENCE, 1000)


def test_what_the_preview_says_is_what_confirming_sends(account: Account) -> None:
    client = staff()
    preview = client.post(NEW, form(account, reason="Two\n lines", evidence_url="tickets.example/1"))
    sent = {**{field.html_name: field.value() for field in preview.context["form"]}, "step": "confirm"}
    sent["pk"] = preview.context["draft"].pk
    client.post(NEW, sent)
    (request,) = asked()
    assert (request.pk, request.reason, request.evidence_url) == (sent["pk"], "Two lines", EVIDENCE)


def test_a_grant_says_what_was_paid_for_it_or_that_it_is_promotional(account: Account) -> None:
    client = staff()
    assert "Paid nothing: promotional" in words_of(client.post(NEW, form(account)))
    sent = form(account, paid="€1,000.5", currency="EUR")
    assert "Paid €1,000.50, net of tax" in words_of(client.post(NEW, sent))
    client.post(NEW, {**sent, "step": "confirm"})
    (request,) = asked()
    assert (request.paid_cents, request.currency) == (100_050, "EUR")
    assert "Paid €1,000.50, net of tax" in words_of(client.get(at(request)))
    assert "Paid" not in words_of(client.get(at(ask(account))))


def test_a_double_click_on_confirm_asks_once(account: Account) -> None:
    client, pk = staff(), new_credit_request_id()
    sent = form(account, reference="INV-7", pk=pk, step="confirm")
    answers: list[Any] = [client.post(NEW, sent) for _ in range(2)]
    assert [answer.url for answer in answers] == [f"{LIST}{pk}"] * 2
    assert [request.pk for request in asked()] == [pk]


def test_changing_it_leads_back_to_the_form_as_it_was_filled(account: Account) -> None:
    page = staff().post(NEW, form(account, step="change"))
    assert page.context["form"]["amount"].value() == "500"
    assert "See the effect" in words_of(page)
    assert asked() == []


def test_more_than_is_available_may_be_asked_for_and_is_said_to_be_impossible_now(account: Account) -> None:
    page = words_of(staff().post(NEW, form(account, kind="adjustment_out", amount="1001")))
    assert "Available 1,000 ✕ −1" in page
    assert "Not as things stand: 1,000 credits are available." in page
    assert "Ask for −1,001 credits" in page


def test_the_customer_is_named_by_id_or_by_name(account: Account) -> None:
    client = staff()
    for name in (account.organization.pk, "acme"):
        assert client.post(NEW, form(account, organization=name)).context["draft"].wallet == account.wallets[Mode.LIVE]
    by_test = client.post(NEW, form(account, mode="test")).context["draft"]
    assert by_test.wallet == account.wallets[Mode.TEST]


@pytest.mark.parametrize(
    ("change", "field", "fault"),
    [
        ({"organization": "nobody"}, "organization", "There is no customer with this id or name."),
        ({"organization": "twin"}, "organization", "More than one customer has this name: give the id."),
        ({"organization": "a\0"}, "organization", "Null characters are not allowed."),
        ({"amount": "1,000"}, "amount", "Write a whole number without separators, such as 5000."),
        ({"amount": "0"}, "amount", "Ensure this value is greater than or equal to 1."),
        ({"amount": "1.5"}, "amount", "Write a whole number"),
        ({"amount": "9" * 30}, "amount", "Ensure this value is less than or equal to"),
        ({"reason": "  "}, "reason", "This field is required."),
        ({"reason": "a" * 601}, "reason", "at most 600 characters"),
        ({"evidence_url": ""}, "evidence_url", "This field is required."),
        ({"evidence_url": "javascript:alert(1)"}, "evidence_url", "Enter a valid URL."),
        ({"evidence_url": "ftp://x.example/1"}, "evidence_url", "Enter a valid URL."),
        ({"kind": "settle"}, "kind", "Select a valid choice."),
        ({"mode": "both"}, "mode", "Select a valid choice."),
        ({"kind": "adjustment_in", "about": "bat_1"}, "about", "bat_1 has no entry in this wallet"),
        ({"about": "bat_1"}, "__all__", "a grant is about nothing that was charged"),
        ({"kind": "adjustment_in", "reference": "INV-7"}, "__all__", "its request's own id"),
        ({"paid": "some"}, "paid", "Write an amount of USD like 5000.00."),
        ({"paid": "5.00", "currency": "JPY"}, "paid", "Write an amount of JPY like 5000."),
        ({"kind": "adjustment_in", "paid": "5.00"}, "paid", "Only a grant is paid for"),
        ({"reference": "taken"}, "reference", "taken was asked for already"),
    ],
)
@pytest.mark.parametrize("step", ["preview", "confirm"])
def test_what_cannot_be_asked_for_is_said_at_its_field(
    account: Account, change: dict[str, str], field: str, fault: str, step: str
) -> None:
    for _ in range(2):
        make_account(name="Twin", credits=0)
    ask(account, kind=Entry.Kind.GRANT, reference="taken")
    response = staff().post(NEW, form(account, **change, step=step))
    assert response.status_code == 200
    assert fault in " ".join(response.context["form"].errors[field])
    assert fault in words_of(response)
    assert len(asked()) == 1


def test_goodwill_for_a_batch_takes_the_customers_own_id_from_its_reserve(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 3), failed={0: FailureType.TIMEOUT})
    client = staff()
    link = words_and_links(client.get(f"/admin/batches/{batch.pk}/billing"))["Ask for goodwill"]
    page = client.get(link)
    assert [page.context["form"][name].value() for name in ("organization", "kind", "about")] == [
        account.organization.pk,
        "adjustment_in",
        batch.pk,
    ]
    assert "Acme" in words_of(page)
    client.post(NEW, form(account, kind="adjustment_in", about=batch.pk, step="confirm"))
    (request,) = asked()
    assert (request.about, request.request_id) == (batch.pk, "order-1")


def test_a_batch_of_another_wallet_cannot_be_named(account: Account) -> None:
    batch = make_batch(account.test_api)
    response = staff().post(NEW, form(account, kind="adjustment_in", about=batch.pk))
    assert f"{batch.pk} has no entry in this wallet: name a batch that was paid from it." in words_of(response)


def words_and_links(response: Any) -> dict[str, str]:
    """Return where the links of a page lead, by their words."""
    found = re.findall(r'<a [^>]*href="([^"]*)"[^>]*>([^<]*)</a>', response.content.decode())
    return {words: unescape(address) for address, words in found}


# --- one request ---------------------------------------------------------------------------------------------------


def test_a_request_shows_who_asked_why_and_what_an_approval_does(account: Account) -> None:
    anna = person()
    request = ask(account, requested_by=anna, reason="Wrong colours")
    response = staff("finance approver").get(at(request))
    page = words_of(response)
    assert "+20 credits · Acme ○ requested" in page
    assert f"· {anna.username}" in page
    assert "Reason Wrong colours" in page
    assert "What an approval does Credits Now After Available 1,000 1,020 Funded 1,000 1,020" in page
    html = response.content.decode()
    assert f'<a href="{EVIDENCE}" target="_blank" rel="noreferrer noopener">' in html


@pytest.mark.parametrize("evidence", ["javascript:alert(1)", "data:text/html,x", "//x.example", "see the invoice"])
def test_evidence_that_is_no_web_address_is_shown_and_leads_nowhere(account: Account, evidence: str) -> None:
    request = CreditRequest.objects.create(
        wallet=account.wallets[Mode.LIVE],
        kind=Entry.Kind.GRANT,
        amount=1,
        reference="x",
        reason="By hand",
        evidence_url=evidence,
        basis="two_people",
        requested_by=person(),
    )
    html = staff().get(at(request)).content.decode()
    assert evidence in html
    assert f'href="{evidence}"' not in html


def test_a_reason_cannot_put_marks_into_a_page(account: Account) -> None:
    batch = make_batch(account.api)
    request = ask(account, reason="<script>alert(1)</script>", about=batch.pk)
    for page in (LIST, at(request), f"/admin/batches/{batch.pk}/billing"):
        assert "<script>alert" not in staff().get(page).content.decode()


def test_an_approval_posts_and_the_page_shows_the_entry_and_what_it_did(account: Account) -> None:
    request, ben = ask(account), person("finance approver")
    client = browser(ben)
    response = client.post(at(request, "/approve"), {"note": " Seen \n it. "}, follow=True)
    page = words_of(response)
    entry = Entry.objects.get(reference=request.pk)
    assert "Approved: the entry is posted." in page
    assert "What it did Credits Before After Available 1,000 1,020 Funded 1,000 1,020" in page
    assert f"· {ben.username}" in page
    assert "Note Seen it." in page
    assert f"/admin/ledger/entries/{entry.pk}" in response.content.decode()
    assert "Approve and post" not in page
    make_batch(account.api, 3)
    assert "Available 1,000 1,020 Funded 1,000 1,020" in words_of(client.get(at(request)))


def test_a_rejection_posts_nothing_and_says_why(account: Account) -> None:
    request = ask(account, kind=Entry.Kind.ADJUSTMENT_OUT)
    response = staff("finance approver").post(at(request, "/reject"), {"note": "See the contract."}, follow=True)
    page = words_of(response)
    assert "✕ rejected" in page
    assert "Note See the contract." in page
    assert "Nothing: it was rejected" in page
    assert available(account) == 1000


def test_who_asked_is_told_why_they_cannot_decide_and_is_refused(account: Account) -> None:
    ben = person("finance approver")
    request, client = ask(account, requested_by=ben), browser(ben)
    page = words_of(client.get(at(request)))
    assert "You asked for this yourself: a second person has to decide." in page
    assert "Approve and post" not in page
    for act in ("/approve", "/reject"):
        response = client.post(at(request, act), follow=True)
        assert "Nothing was changed. Who asked cannot decide: a second person has to." in words_of(response)
    request.refresh_from_db()
    assert (request.state, available(account)) == ("requested", 1000)


def test_not_even_a_superuser_decides_on_their_own(account: Account) -> None:
    root = User.objects.create_superuser(username="root")
    request, client = ask(account, requested_by=root), browser(root)
    client.post(at(request, "/approve"))
    assert available(account) == 1000


def test_a_second_click_says_that_it_was_decided_before(account: Account) -> None:
    request, client = ask(account), staff("finance approver")
    client.post(at(request, "/approve"))
    for act in ("/approve", "/reject"):
        again = client.post(at(request, act), follow=True)
        assert "Nothing was changed. The request was approved before." in words_of(again)
    assert available(account) == 1020


def test_taking_out_more_than_is_available_changes_nothing_and_says_so(account: Account) -> None:
    request = ask(account, 1001, kind=Entry.Kind.ADJUSTMENT_OUT)
    response = staff("finance approver").post(at(request, "/approve"), follow=True)
    page = words_of(response)
    assert "Nothing was changed: 1,001 credits were to be taken out, and 1,000 are available." in page
    assert "The request stays open." in page
    assert "○ requested" in page
    assert "Approve and post" in page
    assert available(account) == 1000


def test_a_note_that_is_too_long_decides_nothing(account: Account) -> None:
    request = ask(account)
    response = staff("finance approver").post(at(request, "/approve"), {"note": "a" * 601}, follow=True)
    assert "Nothing was changed. note: at most 600 characters" in words_of(response)
    assert available(account) == 1000


def test_the_audit_trail_of_a_request_is_on_its_page(account: Account) -> None:
    anna, ben = person(), person("finance approver")
    request = ask(account, requested_by=ben)
    ask(account, requested_by=anna)
    browser(ben).post(at(request, "/approve"))
    approver = person("finance approver")
    page = words_of(browser(approver).post(at(request, "/approve"), follow=True))
    history = page[page.index("Audit trail") :]
    assert f"{ben.username} credits.request done" in history
    assert f"{ben.username} credits.approve ✕ refused: same person" in history
    assert f"{approver.username} credits.approve done" in history
    assert anna.username not in history
    assert AuditEvent.objects.filter(subject=request.pk).count() == 3


def test_what_a_basis_has_approved_needs_no_decision(account: Account) -> None:
    pilot = CreditRequest.objects.get(basis="pilot")
    client = staff("finance approver")
    page = words_of(client.get(at(pilot)))
    assert "on the basis pilot, which needs no second person" in page
    assert "Approve and post" not in page
    assert "was approved before" in words_of(client.post(at(pilot, "/reject"), follow=True))


# --- the batch that it names ---------------------------------------------------------------------------------------


def ended(account: Account) -> Batch:
    return end_batch(make_batch(account.api, 10), failed={7: FailureType.CONTENT_REFUSED})


def billing(batch: Batch, client: Client) -> str:
    return words_of(client.get(f"/admin/batches/{batch.pk}/billing"))


def test_goodwill_stands_below_the_equation_of_its_batch_and_does_not_change_it(account: Account) -> None:
    batch = ended(account)
    before = billing(batch, staff())
    equation = "Reserved (initial) 100 Settled (success) 90 Refunded (failures) 10"
    assert equation in before
    entry = approve(request=ask(account, about=batch.pk, reason="Wrong colours"), decided_by=person())
    page = billing(batch, staff())
    assert equation in page
    assert "100 = 90 + 10 ✓" in page
    assert "Adjustments that name this batch" in page
    assert f"✓ approved adjustment in +20 Wrong colours {entry.created_at:%Y-%m-%d %H:%M:%S} {entry.seq}" in page


REASONS = {"○ requested": "Still open", "✕ rejected": "Turned down", "✓ approved": "Given"}


def test_what_was_only_asked_for_is_shown_to_our_own_people_alone(account: Account) -> None:
    batch = ended(account)
    open_one = ask(account, about=batch.pk, reason="Still open")
    reject(request=ask(account, about=batch.pk, reason="Turned down"), decided_by=person())
    approve(request=ask(account, about=batch.pk, reason="Given"), decided_by=person())
    ours, client = billing(batch, staff()), member(account.organization)
    assert [f"{state} adjustment in +20 {reason}" in ours for state, reason in REASONS.items()] == [True] * 3
    theirs = client.get(f"/admin/batches/{batch.pk}/billing")
    assert "adjustment in +20 Given" in words_of(theirs)
    assert not [
        word
        for word in ("Still open", "Turned down", "Ask for goodwill", "crq_", EVIDENCE, open_one.pk)
        if word in theirs.content.decode()
    ]


def test_a_batch_that_nothing_names_has_nothing_to_say_to_its_customer(account: Account) -> None:
    batch = ended(account)
    assert "Adjustments" not in billing(batch, member(account.organization))
    assert "Ask for goodwill" not in billing(batch, staff("auditor"))
    assert "Ask for goodwill" in billing(batch, staff("finance"))


def test_the_id_of_a_request_leads_our_own_people_to_its_page_and_nobody_else(account: Account) -> None:
    request = ask(account)
    leads = [
        client.get("/admin/find", {"q": request.pk}).headers["Location"]
        for client in (staff("auditor"), member(account.organization))
    ]
    assert leads == [at(request), f"/admin/batches/?q={request.pk}"]
