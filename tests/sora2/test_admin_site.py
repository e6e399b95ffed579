"""The admin site: who gets in, who sees which page, and what every page keeps to."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches.failures import FailureType
from batches.models import Attempt, Batch
from customers.models import Membership, Mode, User
from ledger.models import Entry
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff, superuser, words_of
from webhooks.endpoints import send_test
from webhooks.models import Delivery, Endpoint, Sink, SinkMessage

pytestmark = pytest.mark.django_db

READERS = ("finance", "finance approver", "sales ops", "auditor")
SITEWIDE = (
    *("/admin/", "/admin/batches/", "/admin/ledger/", "/admin/ledger/seals/"),
    *("/admin/webhooks/", "/admin/webhooks/deliveries/"),
)
MONEY = ("billing", "proof", "proof/items.jsonl")


@pytest.fixture
def ended(account: Account) -> Batch:
    """A batch of three items, one of which failed, with an endpoint that is a sink."""
    endpoint = Endpoint.objects.create(
        organization=account.organization, mode=Mode.LIVE, url="https://example.com/webhook-sink/tok"
    )
    sink = Sink.objects.create(token="tok", endpoint=endpoint)
    SinkMessage.objects.create(sink=sink, received_at=timezone.now(), headers={"webhook-id": "evt"}, body="{}")
    batch = end_batch(make_batch(account.api, 3), failed={1: FailureType.TIMEOUT})
    item = batch.items.get(index=1)
    Attempt.objects.create(item=item, number=1, route="simulator", submitted_at=timezone.now(), detail="raw words")
    return batch


def pages_of(batch: Batch) -> list[str]:
    """Return the addresses of all pages about this batch, its item, its customer and its sink."""
    item = batch.items.get(index=0)
    at = f"/admin/batches/{batch.pk}"
    return [
        at,
        *(f"{at}/{tab}" for tab in ("billing", "webhooks", "proof", "proof/items.jsonl")),
        f"{at}/items/{item.pk}",
        f"{at}/items/{item.pk}/video",
        f"/admin/ledger/{batch.organization_id}",
        "/admin/sinks/tok",
        f"/admin/webhooks/endpoints/{Endpoint.objects.get(organization=batch.organization).pk}",
        f"/admin/webhooks/deliveries/{Delivery.objects.get(event__reference=batch.pk).pk}",
        f"/admin/webhooks/secrets/{batch.organization_id}",
    ]


# --- getting in ----------------------------------------------------------------------------------------------------


def test_nobody_sees_a_page_without_signing_in(ended: Batch) -> None:
    for page in (*SITEWIDE, *pages_of(ended), "/admin/settings/", "/admin/find?q=x"):
        response: Any = Client().get(page)
        assert (response.status_code, response.url.split("?")[0]) == (302, "/admin/login/"), page


def test_a_customers_person_signs_in_without_being_staff(account: Account) -> None:
    user = User.objects.create_user(username="cfo@acme", password="a password of length")
    Membership.objects.create(user=user, organization=account.organization, role="customer finance")
    client = Client()
    sent = {"username": "cfo@acme", "password": "a password of length", "next": "/admin/"}
    response: Any = client.post("/admin/login/", sent)
    assert (response.status_code, response.url) == (302, "/admin/")
    page = client.get("/admin/")
    assert page.status_code == 200
    assert "Acme" in words_of(page)


def test_an_account_of_no_organization_is_told_so_and_stays_outside() -> None:
    User.objects.create_user(username="nobody", password="a password of length")
    client = Client()
    response = client.post("/admin/login/", {"username": "nobody", "password": "a password of length"})
    assert "belongs to no organization" in words_of(response)
    assert client.get("/admin/").status_code == 302


def test_somebody_whose_membership_ended_is_outside_at_once(account: Account) -> None:
    client = member(account.organization)
    assert client.get("/admin/").status_code == 200
    Membership.objects.all().delete()
    assert client.get("/admin/").status_code == 302


def test_signing_out_ends_the_session(account: Account) -> None:
    client = member(account.organization)
    response: Any = client.post("/admin/logout/")
    assert (response.status_code, response.url) == (302, "/admin/login/?ended=out")
    assert client.get("/admin/").status_code == 302


# --- who sees what -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", READERS)
def test_staff_who_read_see_every_page(ended: Batch, role: str) -> None:
    client = staff(role)
    assert {page: client.get(page).status_code for page in (*SITEWIDE, *pages_of(ended))} == dict.fromkeys(
        (*SITEWIDE, *pages_of(ended)), 200
    )


@pytest.mark.parametrize("who", ["support", "customer developer"])
def test_those_without_credits_see_batches_and_webhooks_but_no_money(ended: Batch, who: str) -> None:
    client = staff(who) if who == "support" else member(ended.organization, who)
    money = [f"/admin/batches/{ended.pk}/{tab}" for tab in MONEY]
    money += ["/admin/ledger/", f"/admin/ledger/{ended.organization_id}"]
    assert {client.get(page).status_code for page in money} == {403}
    assert "needs the permission to see credits" in words_of(client.get(money[0]))
    for page in ("/admin/", "/admin/batches/", f"/admin/batches/{ended.pk}"):
        text = words_of(client.get(page))
        assert "Reserved" not in text, page
        assert "Funded" not in text, page
        assert "Billing" not in text, page
    assert client.get(f"/admin/batches/{ended.pk}/webhooks").status_code == 200


def test_staff_without_a_role_are_told_so_and_see_nothing(ended: Batch) -> None:
    client = staff("")
    assert "no role yet" in words_of(client.get("/admin/"))
    assert {client.get(page).status_code for page in (*SITEWIDE[1:], *pages_of(ended))} == {403}


@pytest.mark.parametrize("role", [role.value for role in Membership.Role])
def test_nothing_of_another_organization_is_reachable(ended: Batch, role: str) -> None:
    stranger = member(make_account(name="Globex").organization, role)
    assert {stranger.get(page).status_code for page in pages_of(ended)} <= {403, 404}
    assert stranger.get(f"/admin/batches/{ended.pk}").status_code == 404
    assert ended.request_id not in words_of(stranger.get("/admin/batches/"))


def test_a_customers_person_sees_every_page_of_their_own(ended: Batch) -> None:
    client = member(ended.organization, "customer admin")
    assert {client.get(page).status_code for page in (*SITEWIDE, *pages_of(ended))} == {200}


def test_an_item_is_not_found_under_another_batch(account: Account, ended: Batch) -> None:
    other = make_batch(account.api, request_id="order-2")
    item = ended.items.get(index=0)
    assert staff().get(f"/admin/batches/{other.pk}/items/{item.pk}").status_code == 404
    assert staff().get(f"/admin/batches/{other.pk}/items/{item.pk}/video").status_code == 404


def test_what_does_not_exist_is_said_in_words(ended: Batch) -> None:
    response = staff().get(f"/admin/batches/{ended.pk[:-1]}{'0' if ended.pk[-1] != '0' else '1'}")
    assert response.status_code == 404
    assert "Nothing here" in words_of(response)


@pytest.mark.parametrize("address", SITEWIDE)
def test_pages_only_answer_what_changes_nothing(address: str) -> None:
    assert staff().delete(address).status_code == 405


# --- Django's own pages --------------------------------------------------------------------------------------------


def own_models() -> list[Any]:
    ours = {"customers", "ledger", "webhooks", "batches"}
    return [(model, one) for model, one in admin.site._registry.items() if model._meta.app_label in ours]


def test_models_are_shown_read_only_even_to_a_superuser(ended: Batch) -> None:
    client = superuser()
    for model, _ in own_models():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert client.get(reverse(f"{name}_changelist")).status_code == 200, model
        assert client.get(reverse(f"{name}_add")).status_code == 403, model
        row = model._default_manager.first()
        if row is not None:
            change, delete = reverse(f"{name}_change", args=[row.pk]), reverse(f"{name}_delete", args=[row.pk])
            assert client.get(change).status_code == 200, model
            assert client.post(change, {}).status_code == 403, model
            assert client.post(delete, {"post": "yes"}).status_code == 403, model


def test_models_are_never_shown_to_a_customers_person(ended: Batch) -> None:
    client = member(ended.organization, "customer admin")
    for model, _ in own_models():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert client.get(reverse(f"{name}_changelist")).status_code == 403, model
    assert client.get("/admin/settings/").status_code == 404
    assert "Settings" not in words_of(client.get("/admin/"))


def test_support_sees_no_model_of_money(ended: Batch) -> None:
    client = staff("support")
    assert client.get("/admin/ledger/entry/").status_code == 403
    assert client.get("/admin/batches/batch/").status_code == 200
    assert "Entries" not in words_of(client.get("/admin/settings/"))


def test_no_model_page_shows_a_secret(ended: Batch) -> None:
    assert not {"secret_encrypted", "secret_sha256", "password"} & {
        field for _, one in own_models() for field in (*one.fields, *one.list_display)
    }


# --- finding -------------------------------------------------------------------------------------------------------


def test_any_id_leads_to_its_page(ended: Batch) -> None:
    item, entry = ended.items.get(index=0), Entry.objects.get(reference=ended.pk, kind="settle")
    delivery = Delivery.objects.get()
    test = send_test(endpoint=Endpoint.objects.get(), actor="usr_1", now=timezone.now())
    at = f"/admin/batches/{ended.pk}"
    ledger = f"/admin/ledger/{ended.organization_id}"
    expected = {
        ended.pk: at,
        ended.request_id: at,
        item.pk: f"{at}/items/{item.pk}",
        entry.pk: f"/admin/ledger/entries/{entry.pk}",
        entry.wallet_id: f"{ledger}?mode=live",
        ended.organization_id: ledger,
        delivery.event_id: f"{at}/webhooks",
        test.event_id: f"/admin/webhooks/deliveries/?about={test.event_id}",
        delivery.pk: f"/admin/webhooks/deliveries/{delivery.pk}",
        str(delivery.endpoint_id): f"/admin/webhooks/endpoints/{delivery.endpoint_id}",
        "": "/admin/",
    }
    client = staff()
    assert {text: client.get("/admin/find", {"q": text}).headers["Location"] for text in expected} == expected


def test_an_unknown_id_leads_to_an_empty_list_of_batches(ended: Batch) -> None:
    response = staff().get("/admin/find", {"q": " no such thing\0 "}, follow=True)
    assert "No batch fits these filters" in words_of(response)


def test_a_request_id_of_both_modes_leads_to_the_list_of_both(account: Account) -> None:
    make_batch(account.api), make_batch(account.test_api)
    response: Any = staff().get("/admin/find", {"q": "order-1"})
    assert response.url == "/admin/batches/?q=order-1"


def test_finding_does_not_tell_that_somebody_elses_object_exists(ended: Batch) -> None:
    stranger = member(make_account(name="Globex").organization)
    for found in (ended.pk, ended.request_id, ended.items.get(index=0).pk, ended.wallet_id):
        response: Any = stranger.get("/admin/find", {"q": found})
        assert response.url == f"/admin/batches/?q={found}"


# --- what every page keeps to --------------------------------------------------------------------------------------


def test_the_sign_in_page_has_the_policy_too() -> None:
    assert "default-src 'none'" in Client().get("/admin/login/").headers["Content-Security-Policy"]


def test_the_number_of_queries_of_the_frame_does_not_depend_on_the_registered_models(
    ended: Batch, django_assert_max_num_queries: Any
) -> None:
    client = member(ended.organization, "customer finance")
    client.get(f"/admin/batches/{ended.pk}")
    with django_assert_max_num_queries(12):
        client.get(f"/admin/batches/{ended.pk}")


def test_djangos_pages_say_in_which_zone_a_time_is(ended: Batch) -> None:
    page = words_of(superuser().get(reverse("admin:batches_batch_change", args=[ended.pk])))
    assert f"{ended.created_at:%Y-%m-%d %H:%M:%S} UTC" in page
