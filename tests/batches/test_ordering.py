"""Ordering on a page: the same order as over the API, at the price that was shown, once."""

import json
import re
import shlex
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.catalogue import catalogue
from batches.intake import BATCH_METADATA_MAX
from batches.models import Batch, PriceList
from batches.ordering_files import to_csv
from customers.models import AuditEvent, Membership, Mode, Organization, User
from tests.batches.offers import change_model, publish, retire
from tests.connections import at_once
from tests.factories import Account, make_account, make_batch
from tests.people import member, staff, superuser, words_of

pytestmark = pytest.mark.django_db

NEW = "/admin/batches/new"
ADMIN, DEVELOPER = "customer admin", "customer developer"


@pytest.fixture
def account() -> Account:
    return make_account(credits=1000)


def said(rows: str = "A cat\nA dog", **more: Any) -> dict[str, Any]:
    """Return a form as a customer's person sends it."""
    usual = {"rows": rows, "kind": "lines", "mode": "live", "model": "sora-2", "request_id": "order-7", "step": "price"}
    return {**usual, **more}


def of_staff(account: Account, **more: Any) -> dict[str, Any]:
    return said(**{"customer": account.organization.pk, "reason": "Ticket 7", **more})


def upload(name: str, content: str | bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content.encode() if isinstance(content, str) else content)


def sent(client: Client, form: dict[str, Any]) -> Any:
    response = client.post(NEW, form)
    assert response.status_code == 200, response.content
    return response


def read(client: Client, form: dict[str, Any]) -> str:
    return words_of(sent(client, form))


def shown(response: Any) -> str:
    """Return what the page remembers of the price that it shows."""
    found = re.search(r'name="shown" value="([^"]+)"', response.content.decode())
    assert found, words_of(response)
    return found[1]


def confirm(client: Client, form: dict[str, Any]) -> Any:
    """Look at the price, and confirm it."""
    return client.post(NEW, {**form, "step": "confirm", "shown": shown(sent(client, form))})


def made() -> Batch:
    return Batch.objects.get()


def command(response: Any) -> list[str]:
    """Return the words of the command that the page offers, as a shell takes them."""
    found = re.search(r'data-copy="([^"]*)" aria-label="Copy the command"', response.content.decode())
    assert found
    return shlex.split(unescape(found[1]))


# --- who -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["finance", "finance approver", "sales ops", "auditor", ""])
@pytest.mark.parametrize("address", [NEW, f"{NEW}/sample.csv", f"{NEW}/sample.jsonl"])
def test_staff_who_may_not_order_are_refused(role: str, address: str) -> None:
    client = staff(role)
    assert client.get(address).status_code == 403
    assert "New batch" not in words_of(client.get("/admin/batches/"))


def test_a_customers_finance_is_refused(account: Account) -> None:
    client = member(account.organization)
    assert client.get(NEW).status_code == 403
    assert client.post(NEW, said(step="confirm", shown="x")).status_code == 403
    assert not Batch.objects.exists()


@pytest.mark.parametrize("role", [ADMIN, DEVELOPER])
def test_a_customers_person_orders_for_their_organization(account: Account, role: str) -> None:
    client = member(account.organization, role)
    assert f'href="{NEW}"' in client.get("/admin/batches/").content.decode()
    other = make_account(name="Other").organization
    response = confirm(client, said(customer=other.pk, reason="Not asked for"))
    batch = made()
    assert response.headers["Location"] == f"/admin/batches/{batch.pk}"
    assert "Accepted: 20 credits are held." in words_of(client.get(response.headers["Location"]))
    assert (batch.organization, batch.mode, batch.request_id) == (account.organization, "live", "order-7")
    assert (batch.created_via, batch.created_by) == ("dashboard", User.objects.get(memberships__role=role).pk)
    assert account.figures() == (980, 20, 0)


def test_who_belongs_to_several_organizations_chooses(account: Account) -> None:
    client, other = member(account.organization, ADMIN), make_account(name="Zeta").organization
    foreign = make_account(name="Foreign").organization
    Membership.objects.create(user=User.objects.get(), organization=other, role=ADMIN)
    assert "For: This field is required." in read(client, said())
    assert "Select a valid choice" in read(client, said(customer=foreign.pk))
    confirm(client, said(customer=other.pk))
    assert made().organization == other


@pytest.mark.parametrize("make", [lambda: staff("support"), superuser])
def test_staff_name_the_customer_and_say_why(account: Account, make: Any) -> None:
    client = make()
    text = read(client, of_staff(account, reason=" ", rows="prompt,seconds\nA cat,5\n", kind="csv"))
    assert "Say why you order for a customer." in text
    assert "row 2 seconds ✕ 5 is not allowed" in text
    assert "There is no customer" in read(client, of_staff(account, customer="Nobody"))
    Organization.objects.create(name="acme")
    assert "More than one customer" in read(client, of_staff(account, customer="Acme"))
    confirm(client, of_staff(account))
    batch = made()
    event = AuditEvent.objects.get(action="batch.submit", outcome="done")
    assert (event.subject, event.actor, event.organization, event.mode) == (
        *(batch.pk, batch.created_by),
        *(account.organization, "live"),
    )
    assert event.detail == {"request_id": "order-7", "items": 2, "credits": 20, "reason": "Ticket 7"}


def test_a_link_can_name_the_customer(account: Account) -> None:
    assert "Customer Acme Reason" in words_of(staff("support").get(NEW, {"customer": account.organization.pk}))


def test_staff_start_in_test_mode_and_customers_people_in_live(account: Account) -> None:
    def checked(client: Client) -> Any:
        return re.findall(r'name="mode" value="(\w+)"[^>]* checked', client.get(NEW).content.decode())

    assert checked(staff("support")) == ["test"]
    assert checked(member(account.organization, DEVELOPER)) == ["live"]


# --- the price -----------------------------------------------------------------------------------------------------


def test_the_price_shows_lines_and_the_balance_before_and_after(account: Account) -> None:
    client = member(account.organization, ADMIN)
    text = read(client, said("prompt,seconds\nA cat,\nA dog,\nA cow,8\n", kind="csv"))
    assert "sora-2 · 4 s 2 10 20" in text
    assert "sora-2 · 8 s 1 20 20" in text
    assert "Together 3 40" in text
    assert "Available 1,000 960" in text
    assert "✓ The balance suffices." in text
    assert f"By price list {PriceList.objects.get().version}" in text
    assert "Freeze 40 credits and start LIVE Acme: real credits" in text
    assert not Batch.objects.exists()


@pytest.mark.parametrize("credits", [17, 7777])
def test_who_may_not_see_credits_sees_the_price_and_whether_it_can_be_paid(credits: int) -> None:
    account = make_account(credits=credits)
    for client, form in (
        (member(account.organization, DEVELOPER), said()),
        (staff("support"), of_staff(account)),
    ):
        text = read(client, form)
        assert "Together 2 20" in text
        assert "Available" not in text
        assert not re.search(rf"\b{credits:,}\b", text)
        assert ("✓ The balance suffices." if credits > 20 else "✕ The balance does not suffice.") in text
        assert ("Freeze 20 credits" in text) == (credits > 20)


def test_a_balance_that_is_short_says_what_is_missing() -> None:
    account = make_account(credits=15)
    client = member(account.organization, ADMIN)
    text = read(client, said())
    assert "Available 15 ✕ −5" in text
    assert "5 credits are missing." in text
    assert "Freeze" not in text


def test_the_test_wallet_fills_itself() -> None:
    account = make_account(credits=0)
    client = member(account.organization, ADMIN)
    form = said(mode="test")
    text = read(client, form)
    assert "Available 0 99,980" in text
    assert "The sandbox fills the wallet" in text
    assert "TEST Acme: play money" in text
    confirm(client, form)
    assert account.figures(Mode.TEST) == (99_980, 20, 0)


def test_a_deprecated_model_is_told_with_what_takes_its_place(account: Account) -> None:
    at = timezone.now()
    change_model("sora-2-pro", deprecated_at=at, sunset_at=at.replace(year=2099), replacement_id="sora-2")
    text = read(member(account.organization, ADMIN), said(model="sora-2-pro"))
    assert "◑ sora-2-pro is deprecated: it can be ordered until 2099" in text
    assert "sora-2 takes its place." in text


def test_a_row_that_names_another_model_has_its_own_length(account: Account) -> None:
    rows = "prompt,model,seconds\nA cat,,\nA dog,sora-2-pro,\nA cow,,4\n"
    confirm(member(account.organization, ADMIN), said(rows, kind="csv", seconds="8", size="720x1280"))
    usual = catalogue(now=timezone.now()).models["sora-2-pro"]
    assert list(made().items.order_by("index").values_list("model", "seconds", "size")) == [
        ("sora-2", 8, "720x1280"),
        ("sora-2-pro", usual.default_seconds, usual.default_size),
        ("sora-2", 4, "720x1280"),
    ]


def test_all_that_a_batch_can_say_is_kept(account: Account) -> None:
    form = said(
        webhook_url="https://example.com/hook",
        max_credits="50",
        deadline="2099-12-31 00:00",
        metadata="campaign=spring\nby = Ada = x\n",
    )
    confirm(member(account.organization, ADMIN), form)
    batch = made()
    assert (batch.webhook_url, batch.metadata) == ("https://example.com/hook", {"campaign": "spring", "by": "Ada = x"})
    assert str(batch.deadline) == "2099-12-31 00:00:00+00:00"


# --- what is wrong -------------------------------------------------------------------------------------------------


def test_every_fault_of_a_file_is_told_with_its_row_and_the_file_stays(account: Account) -> None:
    rows = "prompt;seconds;model;custom_id;colour\nA cat;5;;a;\n;4;;b;\n\nA dog;;sora-9;a;\nA cow;4;;a;\n"
    response = sent(member(account.organization, ADMIN), said("", file=upload("videos.csv", rows)))
    text = words_of(response)
    for fault in (
        "row 1 colour ✕ There is no such column.",
        "row 2 seconds ✕ 5 is not allowed for sora-2; choose 4, 8 or 12.",
        "row 3 prompt ✕ An item needs a prompt.",
        "row 5 model ✕ “sora-9” is not on offer. Choose one of: sora-2,",
        "row 6 custom_id ✕ The custom_id of row 2 is the same.",
    ):
        assert fault in text
    assert "6 faults in videos.csv" in text
    page = response.content.decode()
    assert unescape(page).count(rows) == 1
    assert re.search(r'name="kind" value="csv"[^>]* checked', page)
    assert "Freeze" not in text
    # The next step needs the file no more.
    mended = "prompt;seconds\nA cat;8\n"
    text = read(member(account.organization, ADMIN), said(mended, kind="csv", source="videos.csv"))
    assert "Together 1 20" in text


def test_faults_of_json_lines_name_line_and_field(account: Account) -> None:
    rows = '{"prompt": "A cat", "secs": 4}\n[]\n{"prompt": "x", "metadata": {"a/b": 1}}\n{\n'
    text = read(member(account.organization, ADMIN), said("", file=upload("videos.jsonl", rows)))
    assert "line 1 secs ✕ There is no such field. Did you mean seconds?" in text
    assert "line 2 – ✕ An item is an object" in text
    assert "line 3 metadata.a/b ✕ A value is a text" in text
    assert "line 4 – ✕ It is not JSON" in text


@pytest.mark.owner
def test_more_faults_than_are_shown_are_counted(account: Account) -> None:
    account.organization.max_items_per_batch = 500
    account.organization.save()
    rows = "prompt,seconds\n" + "A cat,5\n" * 250
    text = read(member(account.organization, ADMIN), said(rows, kind="csv"))
    assert "250 faults, the first 100 of them" in text
    assert "row 101 seconds" in text
    assert "row 102 seconds" not in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rows": " "}, "Write a prompt, or choose a file."),
        ({"file": upload("a.csv", "")}, "a.csv has no rows."),
        ({"file": upload("a.csv", "prompt\n\n")}, "a.csv has no rows."),
        ({"file": upload("a.csv", b"PK\x03\x04...")}, "a.csv cannot be read: it is a workbook"),
        ({"file": upload("a.csv", "prompt\nä".encode("latin-1"))}, "it is not in UTF-8 (line 2)"),
        ({"file": upload("a.txt", b"a" * 12_600_000)}, "and 12 are read at most"),
        ({"file": upload("a.txt", "a\n" * 51)}, "51 videos, and a batch of Acme has 50 at most."),
        ({"file": upload("a.txt", "a\n" * 10_050)}, "More than 10,000 videos, and a batch of Acme has 50 at most."),
        ({"model": "sora-9"}, "sora-9 is not on offer"),
        ({"seconds": "5"}, "5 is not on offer"),
        ({"size": "1x1"}, "1x1 is not on offer"),
        ({"webhook_url": "http://10.0.0.1/"}, "Webhook"),
        ({"deadline": "2020-01-01 00:00"}, "A deadline is a time to come"),
        ({"deadline": "soon"}, "Write a time in UTC"),
        ({"max_credits": "1.5"}, "Write a whole number"),
        ({"max_credits": "19"}, "The batch costs 20 credits, more than the 19 that you allow."),
        ({"metadata": "spring"}, "“spring” is not that."),
        ({"metadata": "\n".join(f"k{n}=v" for n in range(BATCH_METADATA_MAX + 1))}, "at most 50 keys"),
        ({"request_id": " "}, "Give the order an id of your own."),
        ({"mode": "both"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_with_the_form_is_said_above_it(account: Account, more: dict[str, Any], words: str) -> None:
    for value in more.values():
        if hasattr(value, "seek"):
            value.seek(0)
    response = sent(member(account.organization, ADMIN), said(**more))
    text = words_of(response)
    assert "Nothing was ordered yet: this is to be mended" in text
    assert words in text
    assert "Freeze" not in text


def test_a_paste_that_no_request_can_hold_is_refused_in_words(account: Account) -> None:
    client = member(account.organization, ADMIN)
    assert "12 MiB" in read(client, said("A cat\n" * 2_200_000))
    response = client.post(NEW, said("A cat\n" * 2_900_000))
    assert response.status_code == 413
    assert "No credit was moved." in words_of(response)


def test_every_problem_leads_to_a_field_that_there_is(account: Account) -> None:
    page = sent(staff("support"), {"kind": "x", "step": "price"}).content.decode()
    links = re.findall(r'<li><a href="#([^"]+)"', page)
    assert len(links) >= 6
    assert [link for link in links if f'id="{link}"' not in page] == []


def test_a_length_that_the_model_has_not_is_said_at_the_field(account: Account) -> None:
    change_model("sora-2-pro", seconds=[10], default_seconds=10)
    text = read(member(account.organization, ADMIN), said(seconds="10"))
    assert "Seconds: sora-2 makes clips of 4, 8 or 12 seconds." in text


def test_a_retired_model_is_told_with_its_rows(account: Account) -> None:
    retire("sora-2-pro", replacement="sora-2")
    rows = "prompt,model\nA cat,\nA dog,sora-2-pro\n"
    text = read(member(account.organization, ADMIN), said(rows, kind="csv"))
    assert "row 3 model ✕ sora-2-pro is not offered any more. Take sora-2 instead." in text


def test_a_prompt_is_shown_and_not_obeyed(account: Account) -> None:
    page = sent(member(account.organization, ADMIN), said("</textarea><script>alert(1)</script>")).content.decode()
    assert "<script>alert" not in page


# --- confirming ----------------------------------------------------------------------------------------------------


def test_confirming_twice_makes_one_batch(account: Account) -> None:
    client, form = member(account.organization, ADMIN), said()
    first, again = confirm(client, form), None
    again = client.post(NEW, {**form, "step": "confirm", "shown": "whatever"})
    assert first.headers["Location"] == again.headers["Location"] == f"/admin/batches/{made().pk}"
    assert "Nothing was frozen again." in words_of(client.get(again.headers["Location"]))
    assert account.figures() == (980, 20, 0)


def test_a_price_that_changes_is_shown_before_it_is_frozen(account: Account) -> None:
    client, form = member(account.organization, ADMIN), said()
    seen = shown(sent(client, form))
    publish("dearer", {"sora-2": (15, 4)})
    response = sent(client, {**form, "step": "confirm", "shown": seen})
    text = words_of(response)
    assert "it was 20 credits, and is 30 now. Nothing is frozen." in text
    assert "Freeze 30 credits and start" in text
    assert account.figures() == (1000, 0, 0)
    client.post(NEW, {**form, "step": "confirm", "shown": shown(response)})
    assert (made().credits, made().price_version) == (30, "dearer")


@pytest.mark.parametrize("changed", [{"rows": "A cat\nA cow"}, {"mode": "test"}, {"webhook_url": "https://a.example/"}])
def test_what_was_changed_after_the_price_is_shown_again(account: Account, changed: dict[str, str]) -> None:
    client, form = member(account.organization, ADMIN), said()
    seen = shown(sent(client, form))
    text = read(client, {**form, **changed, "step": "confirm", "shown": seen})
    assert "has changed since you saw the price, and the total is still 20 credits." in text
    assert "Look at the price first" in read(client, {**form, "step": "confirm"})
    assert not Batch.objects.exists()


def test_a_request_id_that_was_used_leads_to_its_batch_and_to_a_new_id(account: Account) -> None:
    client, batch = member(account.organization, ADMIN), make_batch(account.api, request_id="order-7")
    response = sent(client, said())
    assert "This request id has made a batch already." in words_of(response)
    assert f'href="/admin/batches/{batch.pk}"' in response.content.decode()
    response = sent(client, said(step="confirm", shown="x"))
    assert "has made a batch already, and of another content" in words_of(response)
    assert f'href="/admin/batches/{batch.pk}"' in response.content.decode()
    refusal = AuditEvent.objects.get(action="batch.submit")
    assert (refusal.subject, refusal.outcome) == ("order-7", "request_id_reused")
    response = sent(client, said(step="new_id"))
    fresh = re.search(r'name="request_id" value="(web-\d{4}-\d\d-\d\d-[0-9a-f]{10})"', response.content.decode())
    assert fresh
    client.post(NEW, said(step="confirm", shown=shown(response), request_id=fresh[1]))
    assert Batch.objects.filter(request_id=fresh[1]).exists()


@pytest.mark.owner
def test_what_is_refused_when_it_is_confirmed_is_said_and_written_down(account: Account) -> None:
    admin, support = member(account.organization, ADMIN), staff("support")
    seen = shown(sent(admin, said()))
    support_seen = shown(sent(support, of_staff(account)))
    make_batch(account.api, 50, request_id="a", items=[{"prompt": "x"}] * 50)
    make_batch(account.api, 49, request_id="b", items=[{"prompt": "x"}] * 49)
    text = read(admin, said(step="confirm", shown=seen))
    assert "costs 20 credits and 10 are available, so that 10 are missing" in text
    text = read(support, of_staff(account, step="confirm", shown=support_seen))
    assert "the balance does not suffice" in text
    assert "available" not in text
    account.organization.max_open_batches = 2
    account.organization.save()
    text = read(admin, said(step="confirm", shown=seen))
    assert "2 batches are open, as many as may be at once." in text
    told = AuditEvent.objects.filter(action="batch.submit").order_by("pk").values_list("outcome", "detail")
    assert list(told) == [
        ("insufficient_credits", {}),
        ("insufficient_credits", {"reason": "Ticket 7"}),
        ("too_many_open_batches", {}),
    ]


def test_a_model_that_retires_between_price_and_confirmation_is_refused(account: Account) -> None:
    client = member(account.organization, ADMIN)
    form = said("prompt,model\nA cat,sora-2-pro\n", kind="csv")
    seen = shown(sent(client, form))
    retire("sora-2-pro")
    assert "sora-2-pro is not offered any more." in read(client, {**form, "step": "confirm", "shown": seen})
    assert AuditEvent.objects.get(action="batch.submit").outcome == "model_retired"


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_make_one_batch_and_one_reserve() -> None:
    account = make_account(credits=20)
    client, form = member(account.organization, ADMIN), said()
    form = {**form, "step": "confirm", "shown": shown(sent(client, form))}
    answers = at_once(*[lambda: client.post(NEW, form)] * 2)
    places = {answer.headers["Location"] for answer in answers}  # type: ignore[attr-defined]
    assert places == {f"/admin/batches/{made().pk}"}
    assert account.figures() == (0, 20, 0)
    assert AuditEvent.objects.filter(action="batch.submit", outcome="done").count() == 1


# --- the same over the API -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", ["A cat\nA dog", 'It\'s a "cat" $HOME `x` \\ !1\nKätzchen 猫 & <b>'])
def test_the_command_answers_the_very_batch(account: Account, rows: str) -> None:
    client = member(account.organization, DEVELOPER)
    form = said(rows, seconds="8", metadata="by=it's me", request_id="it's order 7")
    words = command(sent(client, form))
    confirm(client, form)
    assert words[:5] == ["curl", "-X", "POST", "-H", "X-API-Key: $SORA2_API_KEY"]
    assert words[5] == "http://127.0.0.1:8000/api/enterprise/video-batch"
    answer = account.api.post("/video-batch", json.loads(words[words.index("--data-raw") + 1]))
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (200, "true")
    assert answer.json()["batch_id"] == made().pk
    assert answer.json()["created_via"] == "dashboard"


def test_a_long_body_is_a_file_for_the_command(account: Account) -> None:
    client = member(account.organization, ADMIN)
    form = said("\n".join(f"A cat, take {number}, {'x' * 100}" for number in range(40)), request_id="a b/../c")
    words = command(sent(client, form))
    assert words[words.index("--data-binary") + 1] == "@a-b-..-c.json"
    file = sent(client, {**form, "step": "body"})
    assert file.headers["Content-Disposition"] == 'attachment; filename="a-b-..-c.json"'
    confirm(client, form)
    answer = account.api.send("POST", "/video-batch", file.content, "application/json")
    assert (answer.status_code, answer.json()["batch_id"]) == (200, made().pk)


# --- much ----------------------------------------------------------------------------------------------------------


def test_ten_thousand_rows_take_as_many_queries_as_one() -> None:
    account = make_account(credits=0, max_items_per_batch=10_000)
    client = member(account.organization, ADMIN)

    def queries_of(count: int, step: str, seen: str = "") -> int:
        items = [{"prompt": f"A cat, take {number}", "custom_id": f"sku-{number}"} for number in range(count)]
        form = said("", file=upload("videos.csv", to_csv(items)), mode="test", request_id=f"of {count}")
        with CaptureQueriesContext(connection) as captured:
            response = client.post(NEW, {**form, "step": step, "shown": seen})
        if step == "price":
            assert f"Together {count:,} {10 * count:,}" in words_of(response)
            seen = shown(response)
            form["file"].seek(0)
            return len(captured) + queries_of(count, "confirm", seen)
        assert response.status_code == 302
        return len(captured)

    assert queries_of(1, "price") == queries_of(10_000, "price")
    assert Batch.objects.get(request_id="of 10000").items.count() == 10_000


@pytest.mark.owner
def test_without_a_price_list_the_page_says_so(account: Account) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE batches_pricelist DISABLE TRIGGER USER")
        cursor.execute("UPDATE batches_pricelist SET effective_from = '2099-01-01'")
        cursor.execute("ALTER TABLE batches_pricelist ENABLE TRIGGER USER")
    assert "Nothing is on offer" in words_of(member(account.organization, ADMIN).get(NEW))


def test_the_samples_can_be_ordered_as_they_are(account: Account) -> None:
    client = member(account.organization, DEVELOPER)
    for name in ("sample.csv", "sample.jsonl"):
        file = client.get(f"{NEW}/{name}")
        assert file.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert "Together 2 20" in read(client, said("", file=upload(name, file.content)))
