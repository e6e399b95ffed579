"""The pages of customers: the list of them, an account, and its settings."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from customers.account_settings import Settings as AccountSettings
from customers.account_settings import change_settings, settings_of
from customers.contacts import finance_contacts, technical_contacts
from customers.models import AuditEvent, Membership, Mode, Organization, User
from customers.services import create_api_key, revoke_api_key
from ledger.lows import set_threshold
from sora2.ids import new_id
from tests.connections import at_once
from tests.factories import Account, make_account, make_batch
from tests.markup import form_to, forms_of
from tests.people import member, staff, superuser, words_of

pytestmark = pytest.mark.django_db

NOBODY_YET = AccountSettings(contact_email="", technical_emails=[], finance_emails=[], time_zone="UTC")


def address_of(account: Account) -> str:
    return f"/admin/customers/{account.organization.pk}"


def admin_of(account: Account) -> Client:
    return member(account.organization, "customer admin")


def filled(client: Client, account: Account, **given: str) -> dict[str, str]:
    """Return what the form of the settings sends, once these fields are filled in."""
    address = f"{address_of(account)}/settings"
    return {**form_to(forms_of(client.get(address)), address).fields, **given}


def save(client: Client, account: Account, form: Mapping[str, str]) -> Any:
    return client.post(f"{address_of(account)}/settings", form, follow=True)


def now_of(account: Account) -> AccountSettings:
    return settings_of(Organization.objects.get(pk=account.organization.pk))


# --- the list ------------------------------------------------------------------------------------------------------


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


def test_whoever_belongs_to_several_customers_finds_those_and_no_other() -> None:
    acme, globex, _ = (make_account(name=name) for name in ("Acme Corp", "Globex", "Initech"))
    client = member(acme.organization, "customer developer")
    user = User.objects.get(memberships__organization=acme.organization)
    Membership.objects.create(user=user, organization=globex.organization, role="customer developer")
    page = words_of(client.get("/admin/customers/"))
    assert "Acme Corp" in page
    assert "Globex" in page
    assert "Initech" not in page


def test_the_list_counts_people_and_usable_keys_and_shows_credits_to_who_may_see_them(account: Account) -> None:
    for role in ("customer admin", "customer finance", "customer developer"):
        member(account.organization, role)
    User.objects.filter(memberships__role="customer finance").update(is_active=False)
    revoke_api_key(key=account.keys[Mode.TEST], now=account.organization.created_at)
    assert "1,000 2 1" in words_of(staff().get("/admin/customers/"))
    seen_by_support = words_of(staff("support").get("/admin/customers/"))
    assert " 2 1 " in seen_by_support
    assert "1,000" not in seen_by_support


def test_the_list_takes_as_many_queries_whatever_there_is(account: Account, django_assert_num_queries: Any) -> None:
    client = staff()
    with django_assert_num_queries(4):
        client.get("/admin/customers/")
    for number in range(3):
        for _ in range(2):
            member(make_account(name=f"Customer {number}").organization)
    with django_assert_num_queries(4):
        client.get("/admin/customers/")


# --- an account ----------------------------------------------------------------------------------------------------


def test_an_account_says_what_it_is_and_what_happens_at_its_limits(account: Account, settings: Settings) -> None:
    settings.SUPPORT_EMAIL = "help@sora2.example"
    Organization.objects.update(
        max_items_per_batch=40, rate_limit_per_minute=75, max_open_batches=12, retention_days=1095
    )
    make_batch(account.api)
    make_batch(account.test_api)
    create_api_key(organization=account.organization, mode=Mode.LIVE, name="second")
    text = words_of(admin_of(account).get(address_of(account)))
    for said in (
        "1 who may sign in",
        "2 live, 1 test usable",
        "Open batches 1 live, 1 test",
        "Credits 990 live, 990 test available",
        "Videos in a batch 40 The batch is refused whole (batch_too_large)",
        "Requests in 60 seconds, all keys together 75 Refused (rate_limited)",
        "Open batches, in each mode 12 A new one is refused (too_many_open_batches)",
        "Days for which videos are kept 1,095 A video's files are deleted",
        "write to help@sora2.example",
    ):
        assert said in text, said


@pytest.mark.parametrize("role", ["customer developer", "support"])
def test_who_may_not_see_credits_sees_none_on_an_account(role: str) -> None:
    account = make_account(4321)
    set_threshold(wallet=account.wallets[Mode.LIVE], threshold=2500, actor="usr_1")
    client = staff(role) if role == "support" else member(account.organization, role)
    text = words_of(client.get(address_of(account)))
    assert "Limits" in text
    for hidden in ("4,321", "2,500", "threshold", "Mails about low credits"):
        assert hidden not in text


def test_only_a_superuser_is_led_to_the_retention(account: Account) -> None:
    address = f"/admin/retention/{account.organization.pk}"
    assert address in superuser().get(address_of(account)).content.decode()
    assert address not in admin_of(account).get(address_of(account)).content.decode()


# --- its settings --------------------------------------------------------------------------------------------------


def test_an_administrator_says_whom_we_tell_and_where_months_begin(account: Account) -> None:
    client = admin_of(account)
    form = filled(
        client,
        account,
        contact_email="office@acme.example",
        technical_emails="ops@acme.example, dev@acme.example; OPS@acme.example\n\n",
        finance_emails="books@acme.example",
        time_zone="Europe/Berlin",
    )
    answer = save(client, account, form)
    assert answer.redirect_chain == [(address_of(account), 302)]
    text = words_of(answer)
    assert "Saved." in text
    assert "Technical ops@acme.example, dev@acme.example Finance books@acme.example Time zone Europe/Berlin" in text
    event = AuditEvent.objects.get(action="organization.settings")
    assert (event.organization_id, event.actor) == (account.organization.pk, client.session["_auth_user_id"])
    assert event.detail["old"] == {
        "contact_email": "",
        "technical_emails": [],
        "finance_emails": [],
        "time_zone": "UTC",
    }
    assert event.detail["new"]["technical_emails"] == ["ops@acme.example", "dev@acme.example"]


def test_the_log_names_what_was_changed_and_nothing_else(account: Account) -> None:
    client = admin_of(account)
    save(client, account, filled(client, account, time_zone="Asia/Tokyo"))
    detail = AuditEvent.objects.get(action="organization.settings").detail
    assert detail == {"old": {"time_zone": "UTC"}, "new": {"time_zone": "Asia/Tokyo"}}


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_saved(account: Account) -> None:
    client = admin_of(account)
    form = filled(
        client,
        account,
        contact_email="office",
        technical_emails="ops@acme.example nobody also@nowhere",
        finance_emails="\n".join(f"{number}@acme.example" for number in range(11)),
        time_zone="Mars/Base",
    )
    answer = save(client, account, form)
    assert answer.status_code == 422
    text = words_of(answer)
    for said in (
        "This is no e-mail address.",
        "'nobody' is no e-mail address.",
        "'also@nowhere' is no e-mail address.",
        "These are 11 addresses; 10 are kept at most.",
        "'Mars/Base' is no time zone: write it like Europe/Berlin, or UTC.",
    ):
        assert said in text, said
    assert now_of(account) == NOBODY_YET
    assert "ops@acme.example nobody also@nowhere" in text


@pytest.mark.parametrize("text", ["", "localtime", "../../etc/passwd", "europe/berlin\0", "x" * 51])
def test_a_zone_that_is_none_is_not_taken(account: Account, text: str) -> None:
    client = admin_of(account)
    assert save(client, account, filled(client, account, time_zone=text)).status_code == 422
    assert now_of(account) == NOBODY_YET


def test_what_is_sent_twice_is_saved_once(account: Account) -> None:
    client = admin_of(account)
    form = filled(client, account, time_zone="Asia/Tokyo")
    save(client, account, form)
    assert "Nothing to change" in words_of(save(client, account, form))
    assert AuditEvent.objects.filter(action="organization.settings").count() == 1


def test_a_save_does_not_undo_a_change_that_was_not_seen(account: Account) -> None:
    mia, noor = admin_of(account), admin_of(account)
    of_mia = filled(mia, account, time_zone="Asia/Tokyo")
    save(noor, account, filled(noor, account, finance_emails="books@acme.example"))
    answer = save(mia, account, of_mia)
    assert answer.status_code == 409
    text = words_of(answer)
    assert "Somebody has changed these settings meanwhile" in text
    assert "Finance books@acme.example Time zone UTC" in text
    assert now_of(account).finance_emails == ["books@acme.example"]
    # What she wanted stands in the form; sent again, now that she has seen it, it is taken.
    address = f"{address_of(account)}/settings"
    again = form_to(forms_of(answer), address).fields
    assert again["time_zone"] == "Asia/Tokyo"
    save(mia, account, {**again, "finance_emails": "books@acme.example"})
    assert now_of(account) == AccountSettings("", [], ["books@acme.example"], "Asia/Tokyo")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_save_at_once_one_is_told_of_the_other(account: Account) -> None:
    organization, seen = account.organization, NOBODY_YET.seen
    wanted = [AccountSettings("", [], [], zone) for zone in ("Asia/Tokyo", "Europe/Berlin")]
    results = at_once(
        *[
            lambda each=each: change_settings(organization=organization, wanted=each, seen=seen, actor="usr_1")
            for each in wanted
        ]
    )
    assert sorted(type(result).__name__ for result in results) == ["ChangedMeanwhile", "bool"]
    assert now_of(account) in wanted


def test_only_an_administrator_changes_settings_and_only_their_own(account: Account) -> None:
    address = f"{address_of(account)}/settings"
    for client in (
        member(account.organization, "customer finance"),
        member(account.organization, "customer developer"),
        staff("support"),
    ):
        assert client.get(address).status_code == client.post(address).status_code == 403
        assert address not in client.get(address_of(account)).content.decode()
    stranger = admin_of(make_account(name="Globex"))
    assert stranger.get(address).status_code == stranger.post(address).status_code == 404
    assert stranger.get(address_of(account)).status_code == 404


# --- whom we tell --------------------------------------------------------------------------------------------------


def people_of(organization: Organization) -> None:
    for role in Membership.Role.values:
        name = role.split()[-1]
        user = User.objects.create_user(username=new_id("usr"), email=f"{name}@acme.example")
        Membership.objects.create(user=user, organization=organization, role=role)


def test_who_is_named_is_told_and_nobody_else(account: Account, settings: Settings) -> None:
    settings.SUPPORT_EMAIL = "help@sora2.example"
    organization = account.organization
    assert technical_contacts(organization) == finance_contacts(organization) == ["help@sora2.example"]
    people_of(organization)
    assert technical_contacts(organization) == ["admin@acme.example", "developer@acme.example"]
    assert finance_contacts(organization) == ["admin@acme.example", "finance@acme.example"]
    organization.contact_email = "office@acme.example"
    assert technical_contacts(organization)[0] == "office@acme.example"
    assert finance_contacts(organization) == ["office@acme.example"]
    organization.technical_emails, organization.finance_emails = ["ops@acme.example"], ["books@acme.example"]
    assert technical_contacts(organization) == ["ops@acme.example"]
    assert finance_contacts(organization) == ["books@acme.example"]
