"""Signing in: who guesses is locked out, what a session may and how long, and what is written down of it."""

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from customers.models import AuditEvent, User
from customers.services import create_staff
from customers.tasks import forget_sessions
from tests.factories import Account
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db

PASSWORD = "a password of length"
ELSEWHERE = "203.0.113.9"


@pytest.fixture
def finance() -> User:
    """Somebody of finance who signs in with PASSWORD."""
    user, _ = create_staff(username="finance", role="finance", password=PASSWORD)
    return user


def sign_in(client: Client, username: str = "finance", password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/admin/login/", {"username": username, "password": password}, **more)


def acts(action: str) -> list[tuple[str, str]]:
    """Return who did this and how it ended, in order."""
    return list(AuditEvent.objects.filter(action=action).order_by("pk").values_list("actor", "outcome"))


# --- guessing ------------------------------------------------------------------------------------------------------


def test_five_wrong_passwords_lock_the_name_from_that_address_and_the_page_says_how_long(finance: User) -> None:
    client = Client()
    answers = [sign_in(client, password="wrong") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    locked = sign_in(client)
    assert locked.status_code == 429
    assert 0 < int(locked.headers["Retry-After"]) <= 15 * 60 + 1
    assert "default-src 'none'" in locked.headers["Content-Security-Policy"]
    text = words_of(locked)
    assert "14 min" in text or "15 min" in text
    assert "support@example.com" in text


def test_a_locked_name_signs_in_from_elsewhere_so_that_no_stranger_locks_finance_out(finance: User) -> None:
    for _ in range(5):
        sign_in(Client(), password="wrong", REMOTE_ADDR=ELSEWHERE)
    assert sign_in(Client(), REMOTE_ADDR=ELSEWHERE).status_code == 429
    assert sign_in(Client()).status_code == 302


def test_one_address_that_rotates_names_is_locked_out_whatever_the_name(finance: User, settings: Any) -> None:
    settings.SIGN_IN_FAILURES_PER_ADDRESS = 7
    answers = [sign_in(Client(), username=f"name-{n}", password="wrong").status_code for n in range(7)]
    assert answers == [200] * 6 + [429]
    assert sign_in(Client()).status_code == 429
    assert sign_in(Client(), REMOTE_ADDR=ELSEWHERE).status_code == 302


def test_signing_in_with_ones_own_account_does_not_reset_what_an_address_has_guessed(
    finance: User, settings: Any
) -> None:
    settings.SIGN_IN_FAILURES_PER_ADDRESS = 6
    for n in range(5):
        sign_in(Client(), username=f"name-{n}", password="wrong")
    assert sign_in(Client()).status_code == 302
    assert sign_in(Client(), username="name-5", password="wrong").status_code == 429


def test_a_right_password_forgets_the_wrong_ones_before_it(finance: User) -> None:
    for _ in range(3):
        for _ in range(4):
            assert sign_in(Client(), password="wrong").status_code == 200
        assert sign_in(Client()).status_code == 302


def test_the_lock_ends_by_itself_and_trying_meanwhile_does_not_make_it_longer(finance: User) -> None:
    for _ in range(5):
        sign_in(Client(), password="wrong")
    before = AccessAttempt.objects.get().attempt_time
    sign_in(Client(), password="wrong")
    assert AccessAttempt.objects.get().attempt_time == before
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert sign_in(Client()).status_code == 302


def test_the_address_is_the_one_that_our_proxy_saw_and_of_ipv6_the_network(finance: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    for n in range(5):
        sign_in(Client(), password="wrong", HTTP_X_FORWARDED_FOR=f"10.9.8.{n}, 2001:db8:1:2::{n}")
    assert AccessAttempt.objects.get().ip_address == "2001:db8:1:2::"
    assert sign_in(Client(), HTTP_X_FORWARDED_FOR="2001:db8:1:2:ffff::1").status_code == 429
    assert sign_in(Client(), HTTP_X_FORWARDED_FOR="2001:db8:1:3::1").status_code == 302


def test_failures_are_written_down_without_passwords_and_a_lock_once(finance: User) -> None:
    for _ in range(8):
        sign_in(Client(), password="my secret guess")
    assert acts("session.sign_in") == [("nobody", "refused")] * 4 + [("nobody", "locked")]
    event = AuditEvent.objects.filter(action="session.sign_in").latest("pk")
    assert (event.subject, event.detail) == (finance.pk, {"username": "finance", "address": "127.0.0.1"})
    kept = str(list(AuditEvent.objects.values())) + str(list(AccessAttempt.objects.values()))
    assert "my secret guess" not in kept


def test_a_name_that_nobody_could_have_is_no_attempt(finance: User) -> None:
    assert sign_in(Client(), username="x" * 300, password="wrong").status_code == 200
    assert sign_in(Client(), username="nul\0", password="wrong").status_code == 200
    assert acts("session.sign_in") == []


def test_failures_that_count_no_more_and_old_sessions_are_deleted(finance: User) -> None:
    sign_in(Client(), password="wrong")
    sign_in(Client())
    AccessAttempt.objects.create(
        username="other", ip_address=ELSEWHERE, user_agent="", failures_since_start=1, get_data="", post_data=""
    )
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    forget_sessions()
    assert not AccessAttempt.objects.exists()
    assert not Session.objects.exists()


def test_the_api_pays_nothing_for_it(account: Account, settings: Any) -> None:
    """Measured: as many queries with what is here as without it, and no session."""
    own = ("axes.", "customers.sessions.")
    without = [name for name in settings.MIDDLEWARE if not name.startswith(own)]
    account.api.get("/wallet")  # Which notes that the key was used.
    with CaptureQueriesContext(connection) as queries:
        assert account.api.get("/wallet").status_code == 200
    settings.MIDDLEWARE = without
    with CaptureQueriesContext(connection) as bare:
        assert account.api.get("/wallet").status_code == 200
    assert [query["sql"].split()[0] for query in queries] == [query["sql"].split()[0] for query in bare]
    assert not [query for query in queries if "session" in query["sql"] or "axes" in query["sql"]]


# --- in and out ----------------------------------------------------------------------------------------------------


def test_signing_in_and_out_is_written_down_with_the_address(finance: User) -> None:
    client = Client()
    sign_in(client)
    client.post("/admin/logout/")
    events = AuditEvent.objects.filter(action__startswith="session.").order_by("pk")
    assert [(event.action, event.actor, event.outcome) for event in events] == [
        ("session.sign_in", finance.pk, "done"),
        ("session.sign_out", finance.pk, "done"),
    ]
    assert events[0].detail["address"] == "127.0.0.1"


def test_a_customers_person_signs_in_under_their_customer(account: Account) -> None:
    client = member(account.organization)
    user = User.objects.get(pk=client.session["_auth_user_id"])
    user.set_password(PASSWORD)
    user.save()
    sign_in(Client(), username=user.username)
    assert AuditEvent.objects.get(action="session.sign_in").organization == account.organization


def test_the_key_of_the_session_is_a_new_one_after_signing_in(finance: User) -> None:
    client = Client()
    session = client.session
    session["left by somebody"] = 1
    session.save()
    client.cookies["sessionid"] = before = session.session_key or ""
    sign_in(client)
    assert client.cookies["sessionid"].value != before
    assert not Session.objects.filter(session_key=before).exists()


def test_changing_the_password_ends_the_other_sessions_and_is_written_down(finance: User) -> None:
    here, elsewhere = Client(), Client()
    sign_in(here), sign_in(elsewhere)
    new = "another password of length"
    sent = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/admin/password_change/", sent).status_code == 302
    assert here.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302
    assert acts("password.change") == [(finance.pk, "done")]


def test_signing_out_everywhere_ends_every_session(finance: User) -> None:
    here, elsewhere = Client(), Client()
    sign_in(here), sign_in(elsewhere)
    assert here.post("/admin/sign-out-everywhere").status_code == 302
    assert here.get("/admin/").status_code == 302
    response: Any = elsewhere.get("/admin/batches/?state=failed")
    assert response.url == "/admin/login/?next=%2Fadmin%2Fbatches%2F%3Fstate%3Dfailed&ended=elsewhere"
    assert "ended from elsewhere" in words_of(elsewhere.get(response.url))
    assert acts("session.sign_out_everywhere") == [(finance.pk, "done")]
    sign_in(here)
    assert here.get("/admin/").status_code == 200


# --- how long ------------------------------------------------------------------------------------------------------


def age(client: Client, **minutes: int) -> None:
    """Move what the session remembers into the past."""
    session = client.session
    for name, by in minutes.items():
        session[name] -= by * 60
    session.save()


def test_a_session_ends_when_nothing_happens_and_the_way_back_is_kept() -> None:
    client = staff()
    age(client, begun_at=61, seen_at=61)
    response: Any = client.get("/admin/ledger/?mode=test")
    assert response.url == "/admin/login/?next=%2Fadmin%2Fledger%2F%3Fmode%3Dtest&ended=idle"
    assert "nothing happened here for a while" in words_of(client.get(response.url))
    assert [outcome for _, outcome in acts("session.expire")] == ["done"]
    assert AuditEvent.objects.get(action="session.expire").detail["reason"] == "idle"
    assert client.get("/admin/").status_code == 302


def test_a_session_ends_some_hours_after_it_began_whatever_happens() -> None:
    client = staff()
    age(client, begun_at=12 * 60 + 1)
    response: Any = client.get("/admin/")
    assert response.url.endswith("&ended=age")


def test_an_act_keeps_a_session_alive_and_a_page_that_looks_for_news_does_not() -> None:
    client = staff()
    age(client, begun_at=40, seen_at=40)
    seen = client.session["seen_at"]
    for _ in range(3):
        assert client.get("/admin/batches/", HTTP_HX_REQUEST="true").status_code == 200
    assert client.session["seen_at"] == seen
    client.get("/admin/batches/", HTTP_HX_REQUEST="true", HTTP_X_BY_HAND="1")
    assert client.session["seen_at"] > seen + 39 * 60


def test_a_part_that_asks_after_the_end_loads_the_sign_in_page() -> None:
    for client in (staff(), Client()):
        if client.cookies:
            age(client, seen_at=61)
        response = client.get(
            "/admin/batches/?x=1",
            HTTP_HX_REQUEST="true",
            HTTP_HX_CURRENT_URL="http://testserver/admin/batches/?state=failed",
        )
        assert response.status_code == 200
        assert response.content == b""
        assert response.headers["HX-Redirect"].startswith("/admin/login/?next=%2Fadmin%2Fbatches%2F%3Fstate%3Dfailed")


def test_the_way_back_leads_nowhere_else() -> None:
    client = staff()
    age(client, seen_at=61)
    response: Any = client.post("/admin/check", HTTP_REFERER="https://evil.example/admin/")
    assert response.url == "/admin/login/?next=%2Fadmin%2F&ended=idle"


def test_who_signs_out_after_the_end_is_signed_out() -> None:
    client = staff()
    age(client, seen_at=61)
    response: Any = client.post("/admin/logout/")
    assert response.url == "/admin/login/?ended=out"


def test_a_session_costs_no_write_but_one_a_minute() -> None:
    client = staff()
    with CaptureQueriesContext(connection) as queries:
        client.get("/admin/settings/")
    assert not [query for query in queries if query["sql"].startswith(("UPDATE", "INSERT", "DELETE"))]
    age(client, seen_at=2)
    for writes in (1, 0):
        with CaptureQueriesContext(connection) as queries:
            client.get("/admin/settings/")
        assert len([query for query in queries if query["sql"].startswith("UPDATE")]) == writes


def test_a_session_from_before_there_were_limits_begins_now() -> None:
    client = Client()
    client.force_login(create_staff(username="old", role="finance")[0])
    assert client.get("/admin/").status_code == 200
    assert client.session["begun_at"] == client.session["seen_at"]


# --- staff ---------------------------------------------------------------------------------------------------------


def test_making_a_member_of_staff_is_written_down(finance: User) -> None:
    call_command("create_staff", username="new", role="auditor", by="finance")
    event = AuditEvent.objects.filter(action="staff.create").latest("pk")
    assert (event.actor, event.subject) == (finance.pk, User.objects.get(username="new").pk)
    assert event.detail == {"username": "new", "role": "auditor"}
    with pytest.raises(CommandError, match="no active member of staff"):
        call_command("create_staff", username="other", role="auditor", by="nobody")
    assert not User.objects.filter(username="other").exists()
