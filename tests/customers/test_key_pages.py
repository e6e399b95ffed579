"""A customer's API keys on their pages: made, shown once, rotated and revoked by people."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.utils import timezone

from customers.access import DEFAULT_SCOPES, SCOPES, Permission
from customers.issuing import KEYS_MOST, MadeBefore, issue_by_person
from customers.key_forms import KeyForm
from customers.models import ApiKey, AuditEvent, Mode
from customers.services import create_api_key, revoke_api_key
from tests.connections import at_once
from tests.customers.test_keys_api import ORDER
from tests.factories import Account, Api, end_batch, make_account, make_batch
from tests.markup import form_to, forms_of
from tests.people import member, staff, superuser, words_of

pytestmark = pytest.mark.django_db

SECRET = re.compile(r"s2_(?:live|test)_[0-9A-Za-z]{36}")
NIGHTLY = {"name": "Nightly", "scopes": ["batches:read", "batches:write"]}


@pytest.fixture
def admin(account: Account) -> Client:
    """The browser of the customer's administrator."""
    return member(account.organization, "customer admin")


def keys_of(account: Account) -> str:
    """Return where the keys of a customer are."""
    return f"/admin/customers/{account.organization.pk}/keys"


def page_of(key: ApiKey) -> str:
    return f"/admin/customers/{key.organization_id}/keys/{key.pk}"


def opened(client: Client, account: Account, mode: str = "live") -> dict[str, Any]:
    """Return the form as it is opened, with what is ticked by itself."""
    page = client.get(f"{keys_of(account)}/new?mode={mode}")
    fields = form_to(forms_of(page), f"{keys_of(account)}/new").fields
    return {**fields, "scopes": page.context["form"]["scopes"].value()}


def make(client: Client, account: Account, mode: str = "live", **given: Any) -> tuple[ApiKey, str]:
    """Make a key on the page; return it and its secret."""
    page = client.post(f"{keys_of(account)}/new", {**opened(client, account, mode), **NIGHTLY, **given})
    return ApiKey.objects.latest("pk"), secret_on(page)


def secret_on(page: Any) -> str:
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    [secret] = set(SECRET.findall(page.content.decode()))
    return str(secret)


def faults_on(page: Any) -> dict[str, list[str]]:
    """Return what a form says is wrong, by field."""
    return {name: list(map(str, errors)) for name, errors in page.context["form"].errors.items()}


def rotate(client: Client, key: ApiKey, **given: Any) -> Any:
    """Send the form that rotates a key as its page shows it."""
    form = form_to(forms_of(client.get(page_of(key))), f"{page_of(key)}/rotate")
    return client.post(form.action, {**form.fields, **given})


# --- the list ------------------------------------------------------------------------------------------------------


def test_the_list_says_of_each_key_what_it_may_and_how_it_does(account: Account, admin: Client) -> None:
    key, secret = make(admin, account, budget_credits="500", allowed_networks="127.0.0.1\n", expires_at="2099-12-31")
    make_batch(Api(secret), 4)
    ApiKey.objects.filter(pk=key.pk).update(
        last_used_at=None, refused_at=timezone.now(), refused_address="198.51.100.7"
    )
    words = words_of(admin.get(keys_of(account)))
    maker = admin.get("/admin/").wsgi_request.user.get_username()
    assert f"Nightly {key.hint}… ✓ usable see batches, change batches" in words
    assert f"by {maker} never 2099-12-31 00:00 40 of 500 127.0.0.1/32" in words
    assert "from 198.51.100.7" in words
    assert "2 usable of 100 at most" in words


def test_a_customers_list_is_of_the_switchs_mode_and_staffs_of_both(account: Account, admin: Client) -> None:
    live, test = (account.keys[mode].hint for mode in Mode)
    assert (live in words_of(admin.get(keys_of(account))), test in words_of(admin.get(keys_of(account)))) == (
        True,
        False,
    )
    admin.post("/admin/mode", {"mode": "test"})
    words = words_of(admin.get(keys_of(account)))
    assert (live in words, test in words) == (False, True)
    seen = words_of(staff("support").get(keys_of(account)))
    assert live in seen
    assert test in seen


def test_what_works_no_longer_has_a_list_of_its_own(account: Account, admin: Client) -> None:
    key = account.keys[Mode.LIVE]
    revoke_api_key(key=key, now=timezone.now())
    expired, _ = create_api_key(
        organization=account.organization, mode=Mode.LIVE, name="Old", expires_at=timezone.now() - timedelta(hours=1)
    )
    usable, ended = (words_of(admin.get(f"{keys_of(account)}?show={show}")) for show in ("", "ended"))
    assert key.hint not in usable
    assert "No LIVE key works" in usable
    assert "Make one" in usable
    assert "Revoked or expired (2)" in usable
    assert "− revoked" in ended
    assert f"{expired.hint}… − expired" in ended


def test_a_key_that_expires_within_days_says_so(account: Account, admin: Client) -> None:
    create_api_key(
        organization=account.organization, mode=Mode.LIVE, name="Old", expires_at=timezone.now() + timedelta(days=3)
    )
    assert "◑ expires soon" in words_of(admin.get(keys_of(account)))


def test_a_long_list_goes_on_by_pages(account: Account, admin: Client) -> None:
    for number in range(51):
        create_api_key(organization=account.organization, mode=Mode.LIVE, name=f"Number {number}")
    first = admin.get(keys_of(account))
    assert "Number 50" in words_of(first)
    assert "Number 0 " not in words_of(first)
    after = first.context["found"].page.next
    assert "Number 0 " in words_of(admin.get(f"{keys_of(account)}?after={after}"))


# --- making one ----------------------------------------------------------------------------------------------------


def test_a_key_that_was_made_works_and_its_first_call_is_ready(account: Account, admin: Client) -> None:
    key, secret = make(admin, account, "test", scopes=[str(scope) for scope in DEFAULT_SCOPES])
    assert (key.mode, key.name, key.scopes) == ("test", "Nightly", [str(scope) for scope in DEFAULT_SCOPES])
    assert key.created_by == admin.session["_auth_user_id"]
    assert Api(secret).get("/wallet").json()["livemode"] is False
    created = AuditEvent.objects.get(action="key.create", subject=key.pk)
    assert (created.actor, created.organization_id, created.mode) == (
        key.created_by,
        account.organization.pk,
        "test",
    )


@pytest.mark.parametrize(("mode", "variable"), [("live", "SORA2_API_KEY"), ("test", "SORA2_TEST_API_KEY")])
def test_the_page_with_the_secret_has_a_line_for_the_shell_and_a_call_that_the_key_may_make(
    account: Account, admin: Client, mode: str, variable: str
) -> None:
    page = admin.post(f"{keys_of(account)}/new", {**opened(admin, account, mode), **NIGHTLY})
    words = words_of(page)
    assert f"export {variable}={secret_on(page)}" in words
    assert f'/api/enterprise/models" -H "X-API-Key: ${variable}"' in words
    assert "shown this once" in words
    assert "/docs/enterprise/quick-start" in page.content.decode()


def test_limits_are_kept_as_they_were_written(account: Account, admin: Client) -> None:
    given = {
        "budget_credits": "500",
        "expires_at": "2099-12-31 18:00",
        "allowed_networks": "203.0.113.0/24\n\n::1\n::1",
    }
    key, _ = make(admin, account, **given)
    assert (key.budget_credits, key.expires_at) == (500, datetime(2099, 12, 31, 18, tzinfo=UTC))
    assert key.allowed_networks == ["203.0.113.0/24", "::1/128"]


def test_the_form_begins_with_the_switchs_mode_and_what_runs_batches(account: Account, admin: Client) -> None:
    admin.post("/admin/mode", {"mode": "test"})
    page = admin.get(f"{keys_of(account)}/new")
    form = form_to(forms_of(page), f"{keys_of(account)}/new")
    assert form.fields["mode"] == "test"
    assert form.buttons == ["Make a TEST key"]
    assert page.context["form"]["scopes"].value() == [str(scope) for scope in DEFAULT_SCOPES]
    assert "Powerful" in words_of(page)
    assert opened(admin, account, "neither")["mode"] == "test"


def test_a_form_keeps_its_mode_when_the_switch_is_moved_meanwhile(account: Account, admin: Client) -> None:
    form = opened(admin, account, "test")
    admin.post("/admin/mode", {"mode": "live"})
    admin.post(f"{keys_of(account)}/new", {**form, **NIGHTLY})
    assert ApiKey.objects.latest("pk").mode == "test"


def test_everything_that_is_wrong_is_said_at_once_and_nothing_typed_is_lost(account: Account, admin: Client) -> None:
    wrong = {
        "name": " ",
        "scopes": [],
        "expires_at": "2020-01-01",
        "budget_credits": "many",
        "allowed_networks": "203.0.113.7/24\nhere",
    }
    page = admin.post(f"{keys_of(account)}/new", {**opened(admin, account), **wrong})
    assert faults_on(page) == {
        "name": ["Give it a name, so that you know it again."],
        "scopes": ["Tick at least one: a key that may do nothing is of no use."],
        "expires_at": ["This is over. Write a time to come, or nothing."],
        "budget_credits": ["Write a whole number without separators."],
        "allowed_networks": [
            "Line 1: This is an address in a network. Write the network: 203.0.113.0/24.",
            "Line 2: A network is written like 203.0.113.0/24 or 2001:db8::/32, a single address like 203.0.113.7.",
        ],
    }
    fields = form_to(forms_of(page), f"{keys_of(account)}/new").fields
    assert {name: fields[name].strip() for name in ("expires_at", "budget_credits", "allowed_networks")} == {
        name: wrong[name] for name in ("expires_at", "budget_credits", "allowed_networks")
    }
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scopes", ["batches:sign_off"]),
        ("budget_credits", "0"),
        ("mode", "both"),
        ("name", "x" * 101),
        ("name", "a\0b"),
        ("expires_at", "9999-12-31T23:59-14:00"),
        ("expires_at", "0001-01-01T00:00+14:00"),
    ],
)
def test_what_no_key_can_have_makes_none(account: Account, admin: Client, field: str, value: Any) -> None:
    page = admin.post(f"{keys_of(account)}/new", {**opened(admin, account), **NIGHTLY, field: value})
    assert field in faults_on(page)
    assert ApiKey.objects.count() == 2


def test_a_form_that_is_sent_twice_makes_one_key_and_leads_to_it(account: Account, admin: Client) -> None:
    form = {**opened(admin, account), **NIGHTLY}
    secret_on(admin.post(f"{keys_of(account)}/new", form))
    again = admin.post(f"{keys_of(account)}/new", form, follow=True)
    key = ApiKey.objects.latest("pk")
    assert again.redirect_chain == [(page_of(key), 302)]
    assert "Nothing was made now" in words_of(again)
    assert not SECRET.search(again.content.decode())
    assert ApiKey.objects.count() == 3


@pytest.mark.parametrize("token", ["", "key_01kadf7q2m3n4p5r6s7t8v9w0y", "key_01kadf7q2m3n4p5r6s7t8v9w0y:forged"])
def test_nobody_chooses_the_id_of_a_key(account: Account, admin: Client, token: str) -> None:
    page = admin.post(f"{keys_of(account)}/new", {**opened(admin, account), **NIGHTLY, "token": token})
    assert "Open this form anew" in words_of(page)
    assert ApiKey.objects.count() == 2


def test_the_most_keys_that_there_can_be_are_said_in_words(account: Account, admin: Client) -> None:
    for number in range(KEYS_MOST - 1):
        create_api_key(organization=account.organization, mode=Mode.LIVE, name=str(number))
    page = admin.post(f"{keys_of(account)}/new", {**opened(admin, account), **NIGHTLY})
    assert "There are 100 usable keys in live mode, the most there can be. Revoke one." in words_of(page)
    make(admin, account, "test")


@pytest.mark.django_db(transaction=True)
def test_of_two_forms_that_are_sent_at_once_one_makes_the_key(account: Account) -> None:
    form = KeyForm({"token": KeyForm.base_fields["token"].initial(), "mode": "live", **NIGHTLY}, now=timezone.now())
    assert form.is_valid()

    def send() -> str:
        try:
            issue_by_person(
                organization=account.organization,
                mode=Mode.LIVE,
                order=form.order(),
                key_id=form.cleaned_data["token"],
                actor="usr_1",
                now=timezone.now(),
            )
        except MadeBefore:
            return "made before"
        return "made"

    assert {*at_once(send, send)} == {"made", "made before"}
    assert AuditEvent.objects.filter(action="key.create").count() == 1


# --- secrets -------------------------------------------------------------------------------------------------------


def test_a_secret_is_nowhere_but_on_the_page_that_shows_it(
    account: Account, admin: Client, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    key, secret = make(admin, account, scopes=[str(scope) for scope in SCOPES])
    new = secret_on(rotate(admin, key))
    pages = [keys_of(account), page_of(key), f"{page_of(key)}/revoke", "/admin/", f"{keys_of(account)}/new"]
    shown = "".join(admin.get(address).content.decode() for address in pages)
    shown += superuser().get(f"/admin/customers/apikey/{key.pk.replace('_', '_5F')}/change/").content.decode()
    said = caplog.text + "".join(capsys.readouterr())
    for each in (secret, new):
        assert each not in shown
        assert each not in said
        assert each not in json.dumps(dict(admin.session))
        assert tables_with(each) == []


def tables_with(text: str) -> list[str]:
    """Return the tables that have this text in any row."""
    tables = [model._meta.db_table for model in apps.get_models()]
    asked = " UNION ALL ".join(f"SELECT '{name}' FROM {name} t WHERE strpos(t::text, %s) > 0" for name in tables)
    with connection.cursor() as cursor:
        cursor.execute(asked, [text] * len(tables))
        return [name for (name,) in cursor.fetchall()]


def test_the_search_through_the_tables_would_find_a_secret(account: Account) -> None:
    assert tables_with(account.keys[Mode.LIVE].secret_sha256) == ["customers_apikey"]


# --- a key ---------------------------------------------------------------------------------------------------------


def test_a_keys_page_has_its_budget_in_its_parts_and_its_latest_batches(account: Account, admin: Client) -> None:
    key, secret = make(admin, account, budget_credits="500")
    end_batch(make_batch(Api(secret), 3, request_id="ended"))
    make_batch(Api(secret), 4, request_id="running")
    make_batch(account.api, 1, request_id="another keys")
    words = words_of(admin.get(page_of(key)))
    assert "Budget 500 = Charged 30 + Held 40 + Left 430 ✓" in words
    assert "Open batches 1, which hold 40 credits" in words
    assert words.index("running") < words.index("ended bat_")
    assert "another keys" not in words
    listed = words_of(admin.get(f"/admin/batches/?by={key.pk}&mode=live"))
    assert f"?by={key.pk}&amp;mode=live" in admin.get(page_of(key)).content.decode()
    assert ("running" in listed, "another keys" in listed) == (True, False)


def test_a_key_without_a_budget_says_what_it_has_spent(account: Account, admin: Client) -> None:
    make_batch(account.api, 2)
    words = words_of(admin.get(page_of(account.keys[Mode.LIVE])))
    assert "none: the wallet is the limit. Its batches were charged 0 credits, and hold 20." in words


def test_a_developer_sees_keys_but_no_credits_and_nothing_to_press(account: Account, admin: Client) -> None:
    key, secret = make(admin, account, budget_credits="7919")
    make_batch(Api(secret), 0, items=[{"prompt": "A cat", "model": "veo-3", "seconds": 8}] * 10)
    developer = member(account.organization, "customer developer")
    for address in (keys_of(account), page_of(key)):
        page = developer.get(address)
        assert "Nightly" in words_of(page)
        assert not re.search(r"7,?919|\b970\b|[Bb]udget|credits", words_of(page))
        assert [form for form in forms_of(page) if "/keys" in form.action] == []
        assert "Make a" not in words_of(page)
    for act in ("/new", f"/{key.pk}/rotate", f"/{key.pk}/rename", f"/{key.pk}/revoke"):
        assert developer.post(keys_of(account) + act).status_code == 403


def test_what_happened_to_a_key_is_on_its_page_with_who_did_it(account: Account, admin: Client) -> None:
    key, _ = make(admin, account, budget_credits="500")
    rotate(admin, key, overlap_hours="3")
    admin.post(f"{page_of(key)}/rename", {"name": "Weekly"})
    boss = superuser()
    boss.post(f"{page_of(key)}/revoke", {"reason": "Asked by phone"})
    words = words_of(admin.get(page_of(key)))
    me, them = (client.get("/admin/").wsgi_request.user.get_username() for client in (admin, boss))
    assert "revoke an API key our staff Asked by phone" in words
    assert f"rename an API key {me} was: Nightly" in words
    assert f"rotate an API key {me} with 3 h of overlap" in words
    assert f"make an API key {me}" in words
    assert them not in words
    assert f"revoke an API key {them}" in words_of(boss.get(page_of(key)))


def test_a_key_that_a_key_has_made_names_it(account: Account, admin: Client) -> None:
    maker, secret = make(admin, account, scopes=[str(scope) for scope in SCOPES])
    made = ApiKey.objects.get(pk=Api(secret).post("/keys", ORDER).json()["id"])
    assert f"by the key {maker}" in words_of(admin.get(page_of(made)))


def test_a_key_is_found_by_its_id(account: Account, admin: Client) -> None:
    key = account.keys[Mode.LIVE]
    assert admin.get(f"/admin/find?q={key.pk}").headers["Location"] == page_of(key)


def test_another_customers_key_is_not_there_under_any_address(account: Account, admin: Client) -> None:
    other = make_account(name="Globex").keys[Mode.LIVE]
    under_own = f"{keys_of(account)}/{other.pk}"
    for client, addresses in ((admin, [under_own, page_of(other)]), (superuser(), [under_own])):
        for address in addresses:
            assert client.get(address).status_code == 404
            assert client.get(f"{address}/revoke").status_code == 404
            for act in ("rotate", "rename", "revoke"):
                assert client.post(f"{address}/{act}", {"seen": "x", "overlap_hours": "0"}).status_code == 404
    assert not AuditEvent.objects.filter(subject=other.pk).exists()


def test_a_key_is_renamed_once(account: Account, admin: Client) -> None:
    key = account.keys[Mode.LIVE]
    for _ in range(2):
        admin.post(f"{page_of(key)}/rename", {"name": " Weekly "})
    key.refresh_from_db()
    assert key.name == "Weekly"
    assert AuditEvent.objects.get(action="key.rename").detail["old"] == "Live"
    page = admin.post(f"{page_of(key)}/rename", {"name": ""})
    assert "Give it a name" in words_of(page)


# --- another secret ------------------------------------------------------------------------------------------------


def test_after_a_rotation_both_secrets_work_until_the_overlap_ends(account: Account, admin: Client) -> None:
    key = account.keys[Mode.LIVE]
    new = secret_on(rotate(admin, key))
    assert [Api(secret).get("/wallet").status_code for secret in (account.secrets[Mode.LIVE], new)] == [200, 200]
    words = words_of(admin.get(page_of(key)))
    assert "◐ rotating" in words
    assert "ends at once" in words
    ApiKey.objects.filter(pk=key.pk).update(previous_secret_until=timezone.now())
    assert [Api(secret).get("/wallet").status_code for secret in (account.secrets[Mode.LIVE], new)] == [401, 200]


def test_without_an_overlap_the_old_secret_is_useless_at_once(account: Account, admin: Client) -> None:
    page = rotate(admin, account.keys[Mode.LIVE], overlap_hours="0")
    assert "The old one works no longer" in words_of(page)
    assert Api(account.secrets[Mode.LIVE]).get("/wallet").status_code == 401
    assert Api(secret_on(page)).get("/wallet").status_code == 200


def test_a_rotation_that_is_sent_twice_rotates_once(account: Account, admin: Client) -> None:
    key = account.keys[Mode.LIVE]
    form = form_to(forms_of(admin.get(page_of(key))), f"{page_of(key)}/rotate")
    new = secret_on(admin.post(form.action, form.fields))
    again = admin.post(form.action, form.fields, follow=True)
    assert "Nothing was changed: the secret was rotated after this page was opened" in words_of(again)
    assert [Api(secret).get("/wallet").status_code for secret in (account.secrets[Mode.LIVE], new)] == [200, 200]
    assert AuditEvent.objects.filter(action="key.rotate").count() == 1


@pytest.mark.parametrize("hours", ["-1", "169", "a day"])
def test_an_overlap_that_there_cannot_be_is_refused_where_it_stands(
    account: Account, admin: Client, hours: str
) -> None:
    page = rotate(admin, account.keys[Mode.LIVE], overlap_hours=hours)
    assert page.context["rotate"].errors.keys() == {"overlap_hours"}
    assert not AuditEvent.objects.filter(action="key.rotate").exists()


def test_a_key_that_ended_meanwhile_is_not_rotated(account: Account, admin: Client) -> None:
    key = account.keys[Mode.LIVE]
    form = form_to(forms_of(admin.get(page_of(key))), f"{page_of(key)}/rotate")
    revoke_api_key(key=key, now=timezone.now())
    assert "this key works no longer" in words_of(admin.post(form.action, form.fields, follow=True))


# --- its end -------------------------------------------------------------------------------------------------------


def test_what_ends_with_a_key_is_said_before_it_is_revoked(account: Account, admin: Client) -> None:
    make_batch(account.api, 2)
    words = words_of(admin.get(f"{page_of(account.keys[Mode.LIVE])}/revoke"))
    assert "Open batches 1: it runs to its end" in words
    assert "it is the last one in live mode" in words
    assert "look whether the program still needs it" in words
    assert "keys:write" not in words
    key, _ = make(admin, account, scopes=[str(Permission.KEYS_WRITE)])
    words = words_of(admin.get(f"{page_of(key)}/revoke"))
    assert "never: no program will miss it" in words
    assert "Other usable keys 1 in live mode" in words
    assert "it is the last one with keys:write in live mode" in words
    assert not ApiKey.objects.exclude(revoked_at=None).exists()


def test_a_revoked_key_is_refused_at_once_and_revoking_again_changes_nothing(account: Account, admin: Client) -> None:
    key = account.keys[Mode.LIVE]
    make_batch(account.api)
    words = words_of(admin.post(f"{page_of(key)}/revoke", {"reason": "Leaked"}, follow=True))
    assert "Revoked: whoever asks with it is answered 401" in words
    assert "Rotate" not in words
    assert account.api.get("/wallet").status_code == 401
    revoked_at = ApiKey.objects.get(pk=key.pk).revoked_at
    for again in (admin.post(f"{page_of(key)}/revoke", follow=True), admin.get(f"{page_of(key)}/revoke", follow=True)):
        assert "This key was revoked before. Nothing was changed." in words_of(again)
    assert ApiKey.objects.get(pk=key.pk).revoked_at == revoked_at
    event = AuditEvent.objects.get(action="key.revoke")
    assert (event.actor, event.detail["reason"]) == (admin.session["_auth_user_id"], "Leaked")
