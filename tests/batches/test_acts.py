"""Acts on a batch by people: what they are told before, what they do, who may, and what is written down."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.failures import FailureType
from batches.models import Batch, CatalogueModel, Item, Stage, Status
from batches.stopping import cancel
from customers.models import AuditEvent, Organization, User
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff, superuser, words_of

pytestmark = pytest.mark.django_db

TIMEOUT, REFUSED = FailureType.TIMEOUT, FailureType.CONTENT_REFUSED


def at(batch: Batch, act: str) -> str:
    return f"/admin/batches/{batch.pk}/{act}"


def running(account: Account, count: int = 4) -> Batch:
    """Return a batch of which a provider has the first item."""
    batch = make_batch(account.api, count)
    Item.objects.filter(batch=batch, index=0).update(
        status=Status.RUNNING, stage=Stage.POLL, attempts_made=1, started_at=timezone.now()
    )
    return batch


def failed(account: Account, count: int = 4) -> Batch:
    """Return a batch of which one item timed out, one was refused, and the others succeeded."""
    return end_batch(make_batch(account.api, count), failed={0: TIMEOUT, 1: REFUSED})


def retry_form(client: Any, batch: Batch, **more: str) -> dict[str, str]:
    found = client.get(at(batch, "retry")).context["found"]
    return {"request_id": found.request_id, "price_version": found.price_version, **more}


# --- who may -------------------------------------------------------------------------------------------------------

WRITERS = ["support", "customer admin", "customer developer"]
READERS = ["finance", "finance approver", "sales ops", "auditor", "customer finance"]


def person(account: Account, role: str) -> Any:
    return member(account.organization, role) if role.startswith("customer") else staff(role)


@pytest.mark.parametrize("role", [*WRITERS, *READERS])
def test_only_who_may_change_batches_can_cancel_and_retry(account: Account, role: str) -> None:
    client, may = person(account, role), role in WRITERS
    open_batch, ended = running(account), end_batch(make_batch(account.api, request_id="ended"), failed={0: TIMEOUT})
    assert ("/cancel" in client.get(f"/admin/batches/{open_batch.pk}").content.decode()) is may
    assert ("/retry" in client.get(f"/admin/batches/{ended.pk}").content.decode()) is may
    for batch, act in ((open_batch, "cancel"), (ended, "retry")):
        assert client.get(at(batch, act)).status_code == (200 if may else 403)
        assert client.post(at(batch, act), {"reason": "r"}).status_code in ((200, 302) if may else (403,))
    open_batch.refresh_from_db()
    assert (open_batch.canceled_at is not None) is may


@pytest.mark.parametrize("act", ["cancel", "retry"])
def test_anothers_batch_does_not_exist(account: Account, act: str) -> None:
    batch, stranger = running(account), member(make_account(name="Globex").organization, "customer admin")
    assert stranger.get(at(batch, act)).status_code == 404
    assert stranger.post(at(batch, act), {"reason": "r"}).status_code == 404
    assert not Batch.objects.exclude(canceled_at=None).exists()


# --- cancel --------------------------------------------------------------------------------------------------------


def test_a_cancel_says_its_effect_in_figures_first(account: Account) -> None:
    page = words_of(superuser().get(at(running(account), "cancel")))
    assert "No provider has them 3 30 They fail now, with canceled" in page
    assert "come back when the batch ends, with the last item that runs" in page
    assert "A provider has them 1 10 They run on" in page
    assert "All 4 40" in page
    assert "Cancel 3 items: 30 credits come back" in page


def test_support_is_told_without_credits(account: Account) -> None:
    page = words_of(staff("support").get(at(running(account), "cancel")))
    assert "No provider has them 3 They fail now" in page
    assert "30" not in page


def test_a_cancel_is_done_once_and_written_down_with_its_reason(account: Account) -> None:
    batch, client = running(account), staff("support")
    form = {"reason": "  The customer  asked for it. "}
    first = client.post(at(batch, "cancel"), form, follow=True)
    assert first.redirect_chain == [(f"/admin/batches/{batch.pk}", 302)]
    assert "Canceled: 3 items fail with canceled." in words_of(first)
    assert "was canceled before" in words_of(client.post(at(batch, "cancel"), form, follow=True))
    event = AuditEvent.objects.get(action="batch.cancel")
    assert event.actor.startswith("usr_")
    assert event.detail == {"items_canceled": 3, "reason": "The customer asked for it."}
    assert batch.items.filter(failure_type="canceled").count() == 3


def test_our_staff_say_why_and_a_customer_need_not(account: Account) -> None:
    batch = running(account)
    assert "Nothing was done yet. Say why" in words_of(staff("support").post(at(batch, "cancel"), {"reason": " "}))
    assert "has at most 600 characters" in words_of(staff("support").post(at(batch, "cancel"), {"reason": "x" * 601}))
    batch.refresh_from_db()
    assert batch.canceled_at is None
    assert member(account.organization, "customer developer").post(at(batch, "cancel")).status_code == 302
    assert AuditEvent.objects.get(action="batch.cancel").detail == {"items_canceled": 3}


def test_a_batch_that_has_ended_is_not_canceled(account: Account) -> None:
    response = staff("support").post(at(failed(account), "cancel"), {"reason": "r"}, follow=True)
    assert "Nothing was canceled now: the batch has ended." in words_of(response)
    assert "Cancel</a>" not in response.content.decode()


# --- retry ---------------------------------------------------------------------------------------------------------


def test_a_retry_says_its_effect_in_figures_first(account: Account) -> None:
    page = words_of(superuser().get(at(failed(account), "retry")))
    assert "content refused 1 0 it would fail again as it is" in page
    assert "timeout 1 1 –" in page
    assert "sora-2 · 4 s 1 10 10" in page
    assert "Available now 980 credits Available afterwards 970 credits" in page
    assert "Hold 10 credits and retry 1 item" in page


def test_support_is_asked_without_credits(account: Account) -> None:
    page = words_of(staff("support").get(at(failed(account), "retry")))
    assert "Retry 1 item" in page
    assert "980" not in page


def test_a_retry_orders_once_and_is_written_down(account: Account) -> None:
    batch, client = failed(account), staff("support")
    form = retry_form(client, batch, reason="The provider was slow")
    first = client.post(at(batch, "retry"), form, follow=True)
    again = Batch.objects.get(retry_of=batch)
    assert first.redirect_chain == [(f"/admin/batches/{again.pk}", 302)]
    assert "Ordered: 1 item again" in words_of(first)
    second = client.post(at(batch, "retry"), form, follow=True)
    assert second.redirect_chain == first.redirect_chain
    assert "Nothing was ordered twice" in words_of(second)
    assert (again.request_id, again.created_via, again.total) == ("order-1-retry", "dashboard", 1)
    event = AuditEvent.objects.get(action="batch.retry")
    assert (event.actor, event.subject) == (again.created_by, batch.pk)
    figures = {"request_id": "order-1-retry", "items": 1, "credits": 10}
    assert event.detail == {"retried_in": again.pk, **figures, "reason": "The provider was slow"}
    assert account.figures() == (970, 10, 20)


def test_both_batches_and_items_lead_to_each_other(account: Account) -> None:
    batch, client = failed(account), superuser()
    client.post(at(batch, "retry"), retry_form(client, batch, reason="r"))
    again = Batch.objects.get(retry_of=batch)
    item, anew = batch.items.get(index=0), again.items.get()
    links = [
        (f"/admin/batches/{batch.pk}", f'href="/admin/batches/{again.pk}"'),
        (f"/admin/batches/{again.pk}", f'href="/admin/batches/{batch.pk}"'),
        (at(batch, f"items/{item.pk}"), f'href="{at(again, f"items/{anew.pk}")}"'),
        (at(again, f"items/{anew.pk}"), f'href="{at(batch, f"items/{item.pk}")}"'),
    ]
    assert [link for address, link in links if link not in client.get(address).content.decode()] == []


def test_who_of_our_staff_ordered_is_for_our_staff_to_know(account: Account) -> None:
    batch, client = failed(account), superuser()
    client.post(at(batch, "retry"), retry_form(client, batch, reason="r"))
    again = Batch.objects.get(retry_of=batch)
    name = User.objects.get(pk=again.created_by).username
    assert f"Ordered by {name}" in words_of(client.get(f"/admin/batches/{again.pk}"))
    theirs = member(account.organization).get(f"/admin/batches/{again.pk}")
    assert "Ordered by our staff" in words_of(theirs)
    assert name not in theirs.content.decode()


def test_a_retry_by_the_api_with_the_same_request_id_is_the_same(account: Account) -> None:
    batch, client = failed(account), superuser()
    client.post(at(batch, "retry"), retry_form(client, batch, reason="r"))
    answer = account.api.post(f"/video-batch/{batch.pk}/retry", {"request_id": "order-1-retry"})
    assert (answer.status_code, answer.json()["batch_id"]) == (200, Batch.objects.get(retry_of=batch).pk)


def refusal(batch: Batch, client: Any = None) -> str:
    """Return what the page says of why nothing can be ordered."""
    page = words_of((client or superuser()).get(at(batch, "retry")))
    assert "Back to the batch" in page
    return page.partition("It can't be ordered now. ")[2]


def test_a_refusal_says_why_and_what_to_do(account: Account) -> None:
    hopeless = end_batch(make_batch(account.api, request_id="hopeless"), failed={0: REFUSED})
    assert refusal(hopeless).startswith("No item of it was refunded after a failure that may not come again.")
    assert refusal(make_batch(account.api)).startswith("The batch has not ended")
    batch, client = end_batch(make_batch(account.api, request_id="order-2"), failed={0: TIMEOUT}), superuser()
    client.post(at(batch, "retry"), retry_form(client, batch, reason="r"))
    assert "Tried anew in order-2-retry" in refusal(batch)


@pytest.mark.owner
def test_too_few_credits_and_too_many_open_batches_are_said_before(account: Account) -> None:
    poor = make_account(credits=100, name="Poor")
    batch = end_batch(make_batch(poor.api, 10), failed=dict.fromkeys(range(6), TIMEOUT))
    make_batch(poor.api, 1, request_id="order-2")
    assert refusal(batch).startswith("It costs 60 credits and 50 are available: 10 are missing.")
    assert refusal(batch, staff("support")).startswith("The customer's available credits are not enough.")
    Organization.objects.filter(pk=poor.organization.pk).update(max_open_batches=1)
    assert refusal(batch).startswith("At most 1 batches of this customer may be open at once.")


def test_models_that_are_not_offered_are_left_out_or_refused(account: Account) -> None:
    clips = [{"prompt": "a"}, {"prompt": "b", "model": "veo-3"}]
    batch = end_batch(make_batch(account.api, items=clips), failed={0: TIMEOUT, 1: TIMEOUT})
    CatalogueModel.objects.filter(pk="veo-3").update(
        deprecated_at=timezone.now(), sunset_at=timezone.now(), replacement="sora-2"
    )
    page = words_of(superuser().get(at(batch, "retry")))
    assert "1 of them ask for a model that is not offered any more" in page
    assert "retry 1 item" in page
    only = CatalogueModel.objects.filter(pk="sora-2")
    only.update(deprecated_at=timezone.now(), sunset_at=timezone.now(), replacement="sora-2-pro")
    assert "is not offered any more. Order them anew with sora-2" in refusal(batch)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"price_version": "2001-01-01"}, "Other prices came into force since you looked."),
        ({"request_id": ""}, "A request id has 1 to 255 characters."),
        ({"request_id": "order-1"}, "This request id belongs to another batch."),
        ({"reason": ""}, "Say why"),
    ],
)
def test_what_is_wrong_with_a_form_is_said_and_nothing_is_ordered(
    account: Account, given: dict[str, str], said: str
) -> None:
    batch, client = failed(account), superuser()
    response = client.post(at(batch, "retry"), retry_form(client, batch, reason="my words") | given)
    assert said in words_of(response)
    assert ('value="my words"' in response.content.decode()) is ("reason" not in given)
    assert not Batch.objects.exclude(retry_of=None).exists()


def test_a_refused_retry_is_written_down(account: Account) -> None:
    poor = make_account(credits=100, name="Poor")
    batch = end_batch(make_batch(poor.api, 10), failed=dict.fromkeys(range(6), TIMEOUT))
    client = superuser()
    form = retry_form(client, batch, reason="r")
    make_batch(poor.api, 1, request_id="order-2")
    assert "10 are missing" in words_of(client.post(at(batch, "retry"), form))
    event = AuditEvent.objects.filter(outcome="insufficient_credits").get()
    assert (event.action, event.subject) == ("batch.submit", "order-1-retry")
    assert not AuditEvent.objects.filter(action="batch.retry").exists()


# --- cost ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["cancel", "retry"])
def test_a_confirmation_takes_as_many_queries_whatever_the_number_of_items(act: str) -> None:
    client, account, counts = superuser(), make_account(credits=2000, max_items_per_batch=60), []
    for count in (3, 60):
        batch = make_batch(account.api, count, request_id=f"order-{count}")
        if act == "retry":
            end_batch(batch, failed=dict.fromkeys(range(count - 1), TIMEOUT))
        with CaptureQueriesContext(connection) as captured:
            assert client.get(at(batch, act)).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_canceled_batch_offers_no_cancel(account: Account) -> None:
    batch = running(account)
    cancel(batch=batch, actor="key_1", now=timezone.now())
    assert "/cancel" not in staff("support").get(f"/admin/batches/{batch.pk}").content.decode()
