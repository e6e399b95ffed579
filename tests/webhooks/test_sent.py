"""What a delivery's page says of its headers is what was sent, and its programs verify that and nothing else."""

import re
import subprocess
import sys
from datetime import timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.utils import timezone

from customers.models import Organization
from tests.people import words_of
from tests.programs import node, php, program
from tests.webhooks.page_scenes import State, at, endpoint_of, tell, tried, who
from tests.webhooks.receivers import Receiver, answers, in_turn, serve
from webhooks.delivery import deliver_due
from webhooks.endpoints import rotate_secret
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.signing import new_secret, signature_headers
from webhooks.snippets import HOLDS, HOLDS_NOT, Signed, Snippet, snippets_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback")]

LANGUAGES = ["Python", "Node", "PHP", "Shell"]


@pytest.fixture
def arrived(acme: Organization, receiver: Receiver) -> Delivery:
    """A delivery that was taken."""
    endpoint_of(acme, receiver.url)
    delivery = tell(acme)[0]
    deliver_due()
    return delivery


def interpreter(language: str) -> str:
    match language:
        case "Node":
            return node()
        case "PHP":
            return php()
        case "Shell":
            program("openssl", package="openssl")
            return program("sh", package="dash")
    return sys.executable


def run(snippet: Snippet, folder: Path, *, secret: str, given: bytes = b"") -> tuple[int, str]:
    """Save a program and run it as the page says; return its end and what it says."""
    _, name, *rest = snippet.command.split()
    (folder / name).write_text(snippet.text, encoding="utf-8")
    (folder / "body.json").write_bytes(given)
    ran = subprocess.run(
        [interpreter(snippet.language), name],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "WEBHOOK_SECRET": secret},
        input=given if rest == ["<", "body.json"] else b"",
        capture_output=True,
        timeout=60,
    )
    assert ran.stderr == b""
    return ran.returncode, ran.stdout.decode().strip()


def shown(delivery: Delivery, role: str) -> list[Snippet]:
    """Return the programs on a delivery's page, as they are copied from it."""
    response = who(role, delivery.organization).get(at(delivery))
    texts = re.findall(r'data-copy="([^"]*)" hidden>Copy the (\w+) program', response.content.decode())
    commands = {snippet.language: snippet.command for snippet in response.context["found"].check.snippets}
    return [Snippet(language, commands[language], unescape(text)) for text, language in texts]


# --- headers -------------------------------------------------------------------------------------------------------


def test_the_headers_are_those_that_were_sent_attempt_by_attempt(acme: Organization) -> None:
    with serve(in_turn(answers(500), answers(200))) as receiver:
        endpoint = endpoint_of(acme, receiver.url)
        delivery = tell(acme)[0]
        deliver_due()
        rotate_secret(endpoint=endpoint, overlap_hours=24, actor="usr_1", now=timezone.now())
        Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        Endpoint.objects.update(paused_until=None)
        deliver_due()
    heads = who("customer developer", acme).get(at(delivery)).context["found"].heads
    assert [head.attempt.number for head in heads] == [2, 1]
    for head, request in zip(heads, reversed(receiver.requests), strict=True):
        assert head.headers.keys() > {"webhook-id", "webhook-timestamp", "webhook-signature", "User-Agent"}
        got = {name.lower(): value for name, value in request.headers.items()}
        assert {name: got[name.lower()] for name in head.headers} == head.headers
    assert len(heads[0].headers["webhook-signature"].split()) == 2, "both secrets sign"
    page = words_of(who("auditor", acme).get(at(delivery)))
    for head in heads:
        assert head.headers["webhook-signature"] in page


def test_an_attempt_of_before_shows_that_its_signature_was_not_kept(acme: Organization) -> None:
    endpoint_of(acme)
    page = words_of(who("customer developer", acme).get(at(tried(tell(acme)[0], State.PENDING))))
    assert "The signature of this attempt was not kept" in page
    assert "appear here as soon as something was" in page


def test_the_release_before_writes_attempts_without_a_signature(acme: Organization) -> None:
    endpoint_of(acme)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO webhooks_attempt (delivery_id, number, at, trigger, error, response)"
            " VALUES (%s, 1, now(), 'auto', '', '')",
            [tell(acme)[0].pk],
        )
    assert Attempt.objects.get().signature == ""


def test_what_never_left_us_is_not_called_sent(acme: Organization) -> None:
    with serve(answers(200)) as receiver:
        endpoint_of(acme, receiver.url)
    delivery = tell(acme)[0]
    deliver_due()
    response = who("auditor", acme).get(at(delivery))
    assert "Nothing left us: there was no connection." in words_of(response)
    assert response.context["found"].check is None


# --- programs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4), ids=LANGUAGES)
@pytest.mark.parametrize("role", ["auditor", "customer developer"])
def test_a_program_of_the_page_verifies_the_delivery_and_nothing_else(
    arrived: Delivery, tmp_path: Path, role: str, number: int
) -> None:
    """Who sees no credits gives it the body that the receiver stored."""
    secret, body = arrived.endpoint.secret if arrived.endpoint else "", arrived.event.body.encode()
    snippet = shown(arrived, role)[number]
    assert snippet.language == LANGUAGES[number]
    assert ("31337" in snippet.text) == (role == "auditor")
    assert secret not in snippet.text
    assert run(snippet, tmp_path, secret=secret, given=body) == (0, HOLDS)
    assert run(snippet, tmp_path, secret=new_secret(), given=body) == (1, HOLDS_NOT)
    changed = Snippet(snippet.language, snippet.command, snippet.text.replace("31337", "31338"))
    assert run(changed, tmp_path, secret=secret, given=body.replace(b"31337", b"31338")) == (1, HOLDS_NOT)


@pytest.mark.parametrize("number", range(4), ids=LANGUAGES)
def test_any_body_is_quoted_right(tmp_path: Path, number: int) -> None:
    body = '{"a": "\'\\"\\\\n $HOME `id` %s ${x} größe 🎬 \u2028\t</script>", "b": "\\\\\'"}\n'
    secret, other = new_secret(), new_secret()
    headers = signature_headers(event_id="evt_1", body=body, secrets=[other, secret], at=timezone.now())
    signed = Signed("evt_1", int(headers["webhook-timestamp"]), headers["webhook-signature"], body)
    for known in (secret, other):
        assert run(snippets_of(signed)[number], tmp_path, secret=known) == (0, HOLDS)
    assert run(snippets_of(signed)[number], tmp_path, secret=new_secret()) == (1, HOLDS_NOT)


def test_the_page_that_verifies_gets_the_message_behind_the_hash(arrived: Delivery) -> None:
    for role, sees_credits in (("auditor", True), ("customer developer", False)):
        check = who(role, arrived.organization).get(at(arrived)).context["found"].check
        address = urlsplit(check.address)
        given = parse_qs(address.fragment)
        assert (address.path, address.query) == ("/docs/enterprise/webhooks/verify", "")
        assert given["signature"] == [check.attempt.signature]
        assert given.get("body") == ([arrived.event.body] if sees_credits else None)
        assert (arrived.event.body in check.message) == sees_credits
