"""Secrets are handed over by a link: looking uses nothing up, a form shows them once, and then they are nowhere."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from customers import handing_over as verbs
from customers.access import DEFAULT_SCOPES
from customers.invitation_models import LINK_LIFE
from customers.issuing import KeyOrder, MadeBefore
from customers.models import ApiKey, AuditEvent, Handover, Mode, new_key_id
from customers.tasks import wipe_handovers
from sora2.canonical import sha256_hex
from sora2.settings import CELERY_BEAT_SCHEDULE
from tests.connections import at_once
from tests.factories import Account, Api, make_account
from tests.people import words_of

pytestmark = pytest.mark.django_db

KEY, SECRET = "s2_live_a_key_that_is_none", "whsec_c2VjcmV0"
CONTENT = {verbs.Named.LIVE_KEY: KEY, verbs.Named.ENDPOINT_SECRET: SECRET, "Something else": "a <b>word</b>"}


def handed(account: Account, content: dict[Any, str] = CONTENT) -> tuple[Handover, str]:
    """Hand something over; return it and the path of its door."""
    handover, token = verbs.hand_over(
        organization=account.organization, title="API keys", content=content, actor="usr_1", now=timezone.now()
    )
    return handover, urlsplit(verbs.link_of(token)).path


def token_of(door: str) -> str:
    return door.rsplit("/", 1)[1]


def test_to_look_shows_what_is_in_it_and_uses_nothing_up(account: Account) -> None:
    handover, door = handed(account)
    for method in ("get", "head", "get"):
        page = getattr(Client(), method)(door)
        assert page.status_code == 200
        assert page.headers["Referrer-Policy"] == "strict-origin"
    said = words_of(page)
    assert "API keys For Acme, from Sora2 Enterprise." in said
    assert "In it Live API key, Webhook secret, Something else" in said
    assert f"{handover.expires_at:%Y-%m-%d}" in said
    assert not any(secret in page.content.decode() for secret in (KEY, SECRET, "word"))
    handover.refresh_from_db()
    assert handover.state(timezone.now()) == "open"
    assert not AuditEvent.objects.filter(action="handover.reveal").exists()


def test_a_form_shows_it_once_with_what_to_do_and_then_it_is_nowhere(account: Account) -> None:
    handover, door = handed(account)
    page = Client().post(door)
    said = words_of(page)
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    assert page.headers["Referrer-Policy"] == "strict-origin"
    assert f"export SORA2_API_KEY={KEY} export WEBHOOK_SECRET={SECRET}" in said
    assert "Something else a <b>word</b>" in said, "written as text"
    assert page.content.decode().count("data-copy=") == 4
    assert Client().post(door).status_code == Client().get(door).status_code == 404
    handover.refresh_from_db()
    assert (handover.content_encrypted, handover.state(timezone.now())) == ("", "revealed")
    event = AuditEvent.objects.get(action="handover.reveal")
    assert (event.subject, event.organization_id) == (handover.pk, account.organization.pk)
    kept = str([*Handover.objects.values(), *AuditEvent.objects.values()])
    assert not any(secret in kept for secret in (KEY, SECRET, token_of(door)))


def test_until_then_it_is_encrypted_and_its_token_is_kept_nowhere(account: Account) -> None:
    handover, door = handed(account)
    assert handover.token_sha256 == sha256_hex(token_of(door))
    kept = str([*Handover.objects.values(), *AuditEvent.objects.values()])
    assert not any(secret in kept for secret in (KEY, SECRET, token_of(door)))


def test_every_link_that_opens_nothing_gets_one_and_the_same_page(account: Account) -> None:
    (used, used_door), (withdrawn, withdrawn_door), (old, old_door), (new, new_door) = (
        handed(account) for _ in range(4)
    )
    now = timezone.now()
    verbs.reveal(token=token_of(used_door), now=now)
    assert verbs.withdraw(handover=withdrawn, actor="usr_1", now=now)
    Handover.objects.filter(pk=old.pk).update(expires_at=now)
    newest = verbs.link_of(verbs.renew(handover=new, actor="usr_1", now=now))
    nonsense = ["/admin/secret/x", f"/admin/secret/{'x' * 43}", new_door.replace("secret", "join")]
    doors = [used_door, withdrawn_door, old_door, new_door, *nonsense[:2]]
    answers = [getattr(Client(), method)(door) for door in doors for method in ("get", "post")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["Referrer-Policy"] for answer in answers} == {"strict-origin"}
    assert "Ask whoever sent it for a new one." in words_of(answers[0])
    assert Client().get(nonsense[2]).status_code == 404, "it is no invitation"
    for gone in (used, withdrawn):
        with pytest.raises(verbs.HandoverUseless):
            verbs.renew(handover=gone, actor="usr_1", now=now)
        assert not verbs.withdraw(handover=gone, actor="usr_1", now=now)
    assert Client().post(urlsplit(newest).path).status_code == 200
    assert Client(enforce_csrf_checks=True).post(new_door).status_code == 403


def test_a_link_is_good_for_72_hours_and_then_the_content_is_wiped(account: Account) -> None:
    (handover, door), _ = handed(account), handed(account)
    for after, status in ((LINK_LIFE - timedelta(seconds=1), 200), (LINK_LIFE, 404)):
        with time_machine.travel(handover.made_at + after, tick=False):
            assert Client().get(door).status_code == status
            wipe_handovers()
            assert Handover.objects.open().filter(pk=handover.pk).exists() == (status == 200)
    with time_machine.travel(handover.made_at + LINK_LIFE, tick=False):
        assert Client().post(door).status_code == 404
    handover.refresh_from_db()
    assert handover.state(timezone.now()) == "expired"
    assert "customers.wipe_handovers" in CELERY_BEAT_SCHEDULE


def test_of_two_who_reveal_at_once_one_is_shown_it(transactional_db: None) -> None:
    _, door = handed(make_account())

    def reveal() -> object:
        return verbs.reveal(token=token_of(door), now=timezone.now())[1]

    results = at_once(*[reveal] * 4)
    assert sorted(type(result).__name__ for result in results) == ["HandoverUseless"] * 3 + ["dict"]
    assert {str(name): value for name, value in CONTENT.items()} in results
    assert AuditEvent.objects.filter(action="handover.reveal").count() == 1


def test_a_new_key_is_handed_over_once_however_often_it_is_asked_for(account: Account) -> None:
    order = KeyOrder(
        name="Again", scopes=DEFAULT_SCOPES, expires_at=None, budget_credits=None, allowed_networks=()
    )  # fmt: skip
    asked: dict[str, Any] = {
        "organization": account.organization,
        "mode": Mode.TEST,
        "order": order,
        "key_id": new_key_id(),
        "actor": "usr_1",
        "now": timezone.now(),
    }
    handover, token = verbs.hand_over_new_key(**asked)
    with pytest.raises(MadeBefore):
        verbs.hand_over_new_key(**asked)
    assert (handover.title, handover.names) == ("New test API key", ["Test API key"])
    _, content = verbs.reveal(token=token, now=timezone.now())
    assert Api(content["Test API key"]).get("/wallet").status_code == 200
    assert ApiKey.objects.get(pk=asked["key_id"]).created_by == "usr_1"
    assert Handover.objects.count() == 1


def test_a_token_is_in_no_line_of_the_log(
    account: Account, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, door = handed(account)
    strict = Client(enforce_csrf_checks=True, raise_request_exception=False)
    assert strict.post(door).status_code == 403
    assert strict.get(f"/admin/login/?next={door}").status_code == 200

    def fail(**_: Any) -> None:
        raise RuntimeError(f"the door {door} is stuck")

    monkeypatch.setattr("customers.handover_pages.reveal", fail)
    assert Client(raise_request_exception=False).post(door).status_code == 500
    said = logged()
    assert "the door /admin/secret/*** is stuck" in said
    assert "Forbidden" in said
    assert token_of(door) not in said
