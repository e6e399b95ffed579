"""Every page, opened by everybody, in both methods: what may be seen and done is what the table says, and no more."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import resolve
from django.utils import timezone

from batches.failures import FailureType
from batches.models import Batch
from batches.offering import pause_route
from customers.models import ApiKey, Membership, User
from customers.pages import ReadOnlyAdmin
from ledger.models import Wallet
from sora2.ids import new_id
from tests.dashboard import addresses, routes
from tests.factories import end_batch, make_batch
from tests.flows.conftest import undone
from tests.flows.page_table import (
    DJANGOS,
    DOORS,
    MISSING,
    MODEL,
    MODELS,
    NO_METHOD,
    NOBODY,
    OK,
    OWN,
    PAGES,
    PERMISSIONS,
    REFUSED,
    SIGN_IN,
    STAFF,
    STRANGER,
    VISITORS,
    documented,
    expected,
    of_models,
)
from tests.markup import form_to, forms_of
from tests.people import signed_in, words_of
from tests.sora2.documents import table
from tests.world import World
from webhooks.models import Event

pytestmark = pytest.mark.django_db

Answers = dict[tuple[str, str, str], str]

# Acts that change no row here: their forms only lead on, say what is wrong, or move a switch of the session.
SHOWN_FIRST = {"password_change", "batch_new", "switch_mode", "handover_new_password"}
PAUSED = "openai"
ID = re.compile(r"[a-z]{3}_[0-9a-z]{26}")

# For each act: the page on which its form stands, and what a person fills in.
ACTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "check": ("index", {}),
    "switch_mode": ("index", {"mode": "test"}),
    "batch_sign_off": ("batch_billing", {"confirmed": "yes", "note": "Compared with their order list"}),
    "batch_new": ("batch_new", {"prompts": "A cat", "step": "price"}),
    "batch_cancel": ("batch_cancel", {"reason": "Ordered twice"}),
    "item_link": ("item", {}),
    "batch_retry": ("batch_retry", {"reason": "Asked by phone"}),
    "retention": ("retention", {"days": "3650"}),
    "set_threshold": ("statement", {"threshold": "77"}),
    "account_settings": ("account_settings", {"time_zone": "Asia/Tokyo"}),
    "credit_request_new": (
        "credit_request_new?organization={acme}",
        {"kind": "adjustment_in", "amount": "5", "reason": "Goodwill", "evidence_url": "https://t.example/1",
         "step": "confirm"},
    ),
    "credit_request_approve": ("credit_request", {"note": "Seen"}),
    "quote": ("quote", {}),
    "invoice_change": ("invoice_change", {"note": "As agreed"}),
    "billing_details": ("billing_details", {"legal_name": "Acme International Inc."}),
    "credit_request_reject": ("credit_request", {"note": "Not paid"}),
    "period": ("period", {}),
    "gl_accounts": ("gl_accounts", {"revenue_code": "4711"}),
    "endpoint_new": ("endpoint_new?organization={acme}", {"url": "https://new.example/hook"}),
    "endpoint_change": ("endpoint_change", {"value": "https://new.example/hook"}),
    "endpoint_delete": ("endpoint_delete", {}),
    "endpoint_test": ("endpoint", {}),
    "endpoint_switch": ("endpoint", {"enabled": "no"}),
    "endpoint_replay": ("endpoint_replay?see=1", {}),
    "endpoint_rotate": ("endpoint", {}),
    "default_secret_rotate": ("default_secret", {}),
    "delivery_redeliver": ("delivery", {}),
    "key_new": ("key_new", {"name": "Nightly", "scopes": "batches:read"}),
    "key_rename": ("key", {"name": "Nightly"}),
    "key_rotate": ("key", {}),
    "key_revoke": ("key_revoke", {"reason": "Leaked"}),
    "catalogue_model": ("catalogue_model", {"position": "7", "step": "confirm"}),
    "catalogue_model_new": (
        "catalogue_model_new",
        {"name": "sora-3", "seconds": "4", "default_seconds": "4", "sizes": "1280x720", "step": "confirm"},
    ),
    "prices_new": (
        "prices_new",
        {"version": "2030-01-01", "effective_from": "2030-01-01 00:00", "reason": "Inflation", "step": "confirm"},
    ),
    "route_new": ("route_new", {"name": "eu", "base_url": "https://eu.example/v1"}),
    "route_limits": ("route", {"max_in_flight": "3"}),
    "route_pause": ("route", {"reason": "Maintenance"}),
    "route_resume": ("route", {}),
    "route_provider": ("route", {"base_url": "https://eu.example/v1"}),
    "people_invite": ("people", {"email": "new@acme.example", "role": "customer developer"}),
    "invitation_renew": ("people", {}),
    "invitation_withdraw": ("people", {}),
    "member_role": ("member_role?role=customer+finance", {}),
    "member_remove": ("member_remove", {}),
    "member_password": ("member_password", {}),
    "pilot_plan": (
        "pilot_plan",
        {"contract_reference": "C-1", "support_response_hours": "4", "reason": "Signed", "step": "confirm"},
    ),
    "customer_plan": (
        "customer_plan",
        {"contract_reference": "C-1", "support_response_hours": "4", "reason": "Signed", "step": "confirm"},
    ),
    "pilot_new": ("pilot_new", {"name": "Hooli", "reason": "Agreed in the call", "step": "confirm",
                               "override_reason": "Ran by hand"}),
    "handover_new_key": ("pilot_handovers", {}),
    "handover_new_password": ("pilot_handovers", {}),
    "handover_renew": ("pilot_handovers", {}),
    "handover_withdraw": ("pilot_handovers", {}),
    "pilot_mail": ("pilot_mail", {"act": "send"}),
    "lead_mail": ("lead_mail", {"act": "copy"}),
    "sales_mail": ("sales_mail", {}),
    "pilot_start": ("pilot-scheduled", {"at": "now", "reason": "They are ready"}),
    "pilot_failure": ("pilot", {"condition": "2", "note": "They took a retry for a second order"}),
    "pilot_failure_withdraw": ("pilot", {"reason": "It was the other system"}),
    "pilot_close": ("pilot_close", {"lesson": "The guide to webhooks comes too late"}),
    "password_change": ("password_change", {}),
    "pilot_tick": ("pilot_checklists", {"item": "webhook_guide", "act": "tick"}),
    "own_tick": ("index", {"item": "fields_read", "act": "tick"}),
    "preflight_run": ("preflight_list", {}),
    "lead_new": ("lead_new", {"company": "Hooli", "contact_name": "Gavin", "contact_email": "g@hooli.example",
                              "note": "By mail"}),
    "lead_change": ("lead_change", {"contact_name": "Bill L."}),
    "lead_move": ("lead", {"stage": "reply"}),
    "lead_note": ("lead", {"note": "Wants prices"}),
    "lead_lost": ("lead", {"reason": "No budget"}),
    "lead_signal": ("lead", {}),
    "review_answer": ("pilot_review", {"answer": "The signature", "answered_by": "Ola Ek"}),
    "signal_record": ("pilot_review", {}),
    # Credit notes and payments.
    "invoice_send": ("invoice_send", {}),
    "invoice_void": ("invoice_void", {"reason": "Sent twice"}),
    "invoice_payment": ("invoice_payment", {"reference": "DE-77", "step": "confirm"}),
    "payment_reverse": ("payment_reverse", {"reason": "Another customer's"}),
    "credit_note_new": ("credit_note_new", {"amount_cents": "1.00", "reason": "Goodwill"}),
    "credit_note_send": ("credit_note_send", {}),
}  # fmt: skip


def browsers(world: World) -> dict[str, Client]:
    """Return the browser of each kind of visitor."""
    nobody, bare = Client(), User.objects.create_user(username=new_id("usr"), is_staff=True)
    stranger = User.objects.create_user(username=new_id("usr"))
    Membership.objects.create(user=stranger, organization=world.globex.organization, role="customer admin")
    people = {**world.people, "no role": bare, STRANGER: stranger}
    return {visitor: nobody if visitor == NOBODY else signed_in(people[visitor]) for visitor in VISITORS}


def walked(world: World) -> dict[str, str]:
    """Return the address of every page, with something to cancel, to resume, and to replay."""
    healthy = world.endpoints["healthy"].pk
    return {
        **addresses(world),
        "jsi18n": "/admin/jsi18n/",
        "batch_cancel": f"/admin/batches/{world.batches['processing'].pk}/cancel",
        "route_resume": f"/admin/routes/{PAUSED}/resume",
        "endpoint_replay": f"/admin/webhooks/endpoints/{healthy}/replay",
        "pilot-scheduled": f"/admin/pilots/{world.onboarding.scheduled.pk}",
    }


def rows() -> dict[str, str]:
    """Return a digest of each table; sessions change with every visit."""
    tables = [model._meta.db_table for model in apps.get_models() if model is not Session]
    digest = "SELECT '{0}', count(*) || ' ' || coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '') FROM {0} t"
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(digest.format(table) for table in tables))
        return dict(cursor.fetchall())


def outcome(response: Any) -> str:
    """Return what a visitor was answered, in a word."""
    if response.status_code == 302 and response.url.startswith("/admin/login/"):
        return SIGN_IN
    refusals = {403: REFUSED, 404: MISSING, 405: NO_METHOD}
    return refusals.get(response.status_code, OK if response.status_code < 500 else "broken")


def bodies(client: Client, world: World, where: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what the form of each act sends when it is filled in; one route is paused, so that it can be resumed."""
    pause_route(name=PAUSED, reason="Maintenance", actor="usr_1", now=timezone.now())
    return {name: _body(client, name, where, acme=world.acme.organization.pk) for name in ACTS}


def _body(client: Client, name: str, where: Mapping[str, str], **known: str) -> dict[str, str]:
    page, filled = ACTS[name]
    if name in ("switch_mode", "own_tick"):  # Customers' own: staff have no such form on their pages.
        return dict(filled)
    page, _, query = page.format(**known).partition("?")
    address = where[name].rsplit("/", 1)[0] if name == "route_resume" else f"{where[page]}?{query}"
    return {**form_to(forms_of(client.get(address)), where[name]).fields, **filled}


def wrong(got: Answers, wanted: Answers) -> dict[tuple[str, str, str], tuple[str, str]]:
    """Return what was answered otherwise than the table says, as (got, wanted)."""
    return {asked: (answer, wanted[asked]) for asked, answer in got.items() if answer != wanted[asked]}


# --- the table -----------------------------------------------------------------------------------------------------


def test_the_table_names_every_page() -> None:
    assert {*PAGES, *of_models(), *DJANGOS, *DOORS} == routes().keys()


def test_every_act_of_the_table_has_a_form_here() -> None:
    assert ACTS.keys() == {name for name, row in PAGES.items() if "POST" in row.methods}


def test_every_model_page_is_read_only() -> None:
    assert all(isinstance(each, ReadOnlyAdmin) for each in admin.site._registry.values())
    assert {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry} == MODELS.keys()


def test_the_documentation_has_the_same_table() -> None:
    written = "\n".join(f"| `{address}` | {' | '.join(cells)} |" for address, cells in documented())
    assert table("reference/access.md", "Who may open which page") == dict(documented()), f"It is:\n{written}"


# --- the walk ------------------------------------------------------------------------------------------------------


def test_every_page_opens_to_whom_the_table_says(world: World) -> None:
    where, got, wanted = walked(world), Answers(), Answers()
    for visitor, client in browsers(world).items():
        for name, row in {**PAGES, **of_models()}.items():
            asked = (name, visitor, "GET")
            got[asked], wanted[asked] = outcome(client.get(where[name])), expected(row, visitor, "GET")
    assert wrong(got, wanted) == {}


def test_every_act_is_refused_to_whom_the_table_says_and_changes_nothing(world: World) -> None:
    where, clients, got, wanted = walked(world), browsers(world), Answers(), Answers()
    sent = bodies(clients["superuser"], world, where)
    before = rows()
    for name, row in {**PAGES, **of_models()}.items():
        if row.whose == MODEL and "POST" not in row.methods:
            continue
        for visitor, client in clients.items():
            asked = (name, visitor, "POST")
            wanted[asked] = expected(row, visitor, "POST")
            if wanted[asked] != OK:
                got[asked] = outcome(client.post(where[name], sent.get(name)))
        assert rows() == before, name
    assert wrong(got, wanted) == {}


def test_every_act_acts_for_whom_the_table_says(world: World) -> None:
    where, clients, got, wanted = walked(world), browsers(world), Answers(), Answers()
    sent = bodies(clients["superuser"], world, where)
    before = rows()
    for name, row in PAGES.items():
        for visitor, client in clients.items():
            if expected(row, visitor, "POST") != OK:
                continue
            with undone():
                asked = (name, visitor, "POST")
                got[asked], wanted[asked] = outcome(client.post(where[name], sent[name])), OK
                if name not in SHOWN_FIRST:
                    assert rows() != before, asked
    assert wrong(got, wanted) == {}


def test_no_act_is_taken_from_a_page_of_somebody_elses(world: World) -> None:
    where = walked(world)
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["superuser"])
    sent = bodies(client, world, where)
    before = rows()
    for name in (*ACTS, *DOORS):
        without = {field: value for field, value in sent.get(name, {}).items() if field != "csrfmiddlewaretoken"}
        assert client.post(where[name], without).status_code == 403, name
    assert rows() == before
    assert client.get(where["index"]).status_code == 200


def test_what_is_somebody_elses_looks_like_what_is_not_there(world: World) -> None:
    """The same status and the same words, so that nobody learns that an id exists."""
    client = browsers(world)[STRANGER]
    where = {name: address for name, address in addresses(world).items() if name in PAGES and PAGES[name].whose == OWN}
    for name, address in where.items():
        # The last sign of each id but one, which says nothing of what it is.
        never = ID.sub(lambda found: found[0][:-2] + ("0" if found[0][-2] != "0" else "1") + found[0][-1], address)
        never = never.replace(world.sink.token, "no-such-token")
        assert never != address, name
        for method in PAGES[name].methods.split():
            theirs, nobodys = (client.generic(method, each) for each in (address, never))
            assert theirs.status_code == nobodys.status_code == 404, name
            assert without_token(theirs) == without_token(nobodys), name


def without_token(response: Any) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())


# --- what Django brings --------------------------------------------------------------------------------------------


def test_djangos_own_addresses_tell_nobody_anything(world: World) -> None:
    content_type = ContentType.objects.get_for_model(Batch).pk
    there, not_there = world.batches["globex"].pk, "bat_00000000000000000000000000"
    for visitor, client in browsers(world).items():
        inside = visitor != NOBODY
        answers = [client.get(f"/admin/r/{content_type}/{pk}/") for pk in (there, not_there)]
        assert [outcome(answer) for answer in answers] == [MISSING if inside else SIGN_IN] * 2, visitor
        asked = {"app_label": "customers", "model_name": "membership", "field_name": "user", "term": "a"}
        sees_people = visitor in STAFF and "batches:read" in PERMISSIONS[visitor]
        people = outcome(client.get("/admin/autocomplete/", asked))
        assert people == (OK if sees_people else REFUSED if inside else SIGN_IN), visitor


def test_each_of_djangos_pages_of_an_app_is_covered_by_one_of_ours() -> None:
    labels = {model._meta.app_label for model in admin.site._registry}
    assert {resolve(f"/admin/{label}/").url_name for label in labels} == {
        "batch_list",
        "customer_list",
        "endpoint_list",
        "wallet_list",
    }


def test_no_column_can_be_guessed_by_a_filter_that_the_list_does_not_offer(world: World) -> None:
    client = browsers(world)["superuser"]
    assert client.get("/admin/customers/user/", {"is_active__exact": "1"}).status_code == 200
    assert client.get("/admin/customers/user/", {"password__startswith": "md5"}).status_code == 400
    assert client.get("/admin/customers/apikey/", {"secret_sha256__startswith": "0"}).status_code == 400
    assert client.get("/admin/batches/batch/", {"organization__wallets__available__gt": "1"}).status_code == 400


# --- money ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("visitor", ["support", "customer developer"])
def test_who_may_not_see_credits_sees_none_on_any_page(world: World, visitor: str) -> None:
    """Of the figures that the books hold, in four digits: fewer may be a number of anything."""
    batch, waiting = end_batch(expensive(world, 17), failed={3: FailureType.TIMEOUT}), expensive(world, 13)
    figures = {
        waiting.credits,
        batch.credits,
        batch.settled,
        batch.refunded,
        *Wallet.objects.values_list("available", flat=True),
    }
    ApiKey.objects.update(budget_credits=7919)
    figures |= {7919, *ApiKey.objects.values_list("used_credits", flat=True)}
    forms = {text for figure in figures if figure > 999 for text in (str(figure), f"{figure:,}")}
    client = browsers(world)[visitor]
    shown: dict[str, set[str]] = {}
    tell = {"batch": batch.pk, "event": Event.objects.get(reference=batch.pk, type="batch.completed").pk}
    more = {
        "of the batch": f"/admin/batches/{tell['batch']}",
        "its webhooks": f"/admin/batches/{tell['batch']}/webhooks",
        "its event": f"/admin/webhooks/event/{tell['event']}/change/",
        "of the model": "/admin/catalogue/models/veo-3",
    }
    for name, address in {**walked(world), **more}.items():
        response = client.get(address)
        if response.status_code == 200 and response.headers["Content-Type"].startswith("text/html"):
            found = set(re.findall(r"(?<![\w,.])\d[\d,]*(?![\w,])", words_of(response))) & forms
            shown |= {name: found} if found else {}
    assert shown == {}


def expensive(world: World, count: int) -> Batch:
    """Order a batch of a dear model, whose figures are seen nowhere else."""
    items = [{"prompt": "A cat", "model": "veo-3", "seconds": 8} for _ in range(count)]
    return make_batch(world.acme.api, 0, request_id=f"expensive-{count}", items=items)
