"""The page that verifies a webhook, in a real browser, with messages that our own code signed."""

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import OpenPage
from tests.browser.test_dashboard import PHONE, faint_texts
from webhooks.signing import new_secret, signature_headers

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "/docs/enterprise/webhooks/verify"
EVENT_ID = "evt_01k8q2m3n4p5r6s7t8v9w0x1yz"
CONTENT = {
    "event": "batch.completed",
    "request_id": "größe 🎬 / \"2\"",
    "summary": {"total": 10, "succeeded": 9, "failed": 1},
    "10": [1.0, 12345678901234567890],
    "2": None,
    "event_id": EVENT_ID,
    "livemode": True,
}  # fmt: skip
BODY = json.dumps(CONTENT, ensure_ascii=False)

Message = dict[str, str]


def signed(
    *secrets: str, body: str = BODY, event_id: str = EVENT_ID, ago: timedelta = timedelta(), **changes: str
) -> Message:
    """Return what one types for a message signed with these secrets; the first is the one that is known."""
    at = datetime.now(UTC) - ago
    headers = signature_headers(event_id=event_id, body=body, secrets=secrets, at=at)
    message = {name: headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
    return {**message, "body": body, "secret": secrets[0], **changes}


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    page = open_page()
    page.goto(ADDRESS)
    return page


def verify(page: Page, message: Message) -> None:
    labels = {
        **{name: f"webhook-{name}" for name in ("id", "timestamp", "signature")},
        "body": "Body",
        "secret": "Secret",
    }
    for name, value in message.items():
        page.get_by_label(labels[name], exact=True).fill(value)
    page.get_by_role("button", name="Verify").click()


def verdict(page: Page) -> Locator:
    return page.get_by_role("status", name="Result").locator(".verdict")


def line(page: Page, name: str) -> Locator:
    """Return the line of the result about a part of the message."""
    lines = page.get_by_role("status", name="Result").get_by_role("listitem")
    return lines.filter(has=page.get_by_text(name, exact=True))


# --- what is right ----------------------------------------------------------------------------------------------------


def test_what_we_sign_verifies(page: Page) -> None:
    verify(page, signed(new_secret()))
    expect(verdict(page)).to_have_text("✓ Valid: a receiver with this secret takes this message.")
    expect(line(page, "webhook-id")).to_contain_text("✓ webhook-id The same as event_id")
    expect(line(page, "webhook-timestamp")).to_contain_text("✓ webhook-timestamp Signed ")
    expect(line(page, "webhook-signature")).to_contain_text("✓ webhook-signature It matches")
    expect(line(page, "secret")).to_contain_text("✓ secret It is the one that signed")
    expect(line(page, "body")).to_contain_text(f"✓ body These {len(BODY.encode())} bytes were signed")


def test_the_example_verifies_and_a_changed_letter_does_not(page: Page) -> None:
    page.get_by_role("button", name="Try an example").click()
    expect(verdict(page)).to_contain_text("✓ Valid")
    body = page.get_by_label("Body", exact=True)
    body.fill(body.input_value().replace("order-123", "order-124"))
    expect(verdict(page)).to_have_count(0)
    page.get_by_role("button", name="Verify").click()
    expect(verdict(page)).to_have_text("✕ Not valid: the signature does not match.")


def test_the_example_of_the_specification_was_valid(page: Page) -> None:
    message = {
        "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "timestamp": "1614265330",
        "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "body": '{"test": 2432232314}',
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }
    verify(page, message)
    expect(verdict(page)).to_have_text("! The signature is valid, but not now: see the timestamp.")


def test_while_a_secret_rotates_it_says_which_signature_matches(page: Page) -> None:
    secrets = [new_secret(), new_secret()]
    for number, secret in enumerate(secrets, 1):
        verify(page, signed(*secrets, secret=secret))
        expect(verdict(page)).to_contain_text("✓ Valid")
        expect(line(page, "webhook-signature")).to_contain_text(f"✓ webhook-signature Signature {number} of 2 matches")


# --- the clock --------------------------------------------------------------------------------------------------------


def test_a_timestamp_too_far_away(page: Page) -> None:
    for ago, said in (
        (timedelta(minutes=12), r"✕ webhook-timestamp Signed 12 min \d+ s ago, at 20.* UTC: 7 min \d+ s more than"),
        (timedelta(hours=50), r"✕ webhook-timestamp Signed 2 days 2 h ago"),
        (timedelta(minutes=-7), r"✕ webhook-timestamp It lies (6|7) min \d+ s ahead of this device's clock"),
    ):
        verify(page, signed(new_secret(), ago=ago))
        expect(verdict(page)).to_have_text("! The signature is valid, but not now: see the timestamp.")
        expect(line(page, "webhook-timestamp")).to_contain_text(re.compile(said))
        expect(line(page, "secret")).to_contain_text("✓ secret")


def test_an_old_message_with_a_wrong_secret_is_not_said_to_have_been_valid(page: Page) -> None:
    verify(page, signed(new_secret(), ago=timedelta(hours=1), secret=new_secret()))
    expect(verdict(page)).to_contain_text("✕ Not valid")
    expect(line(page, "webhook-timestamp")).not_to_contain_text("verified then")


# --- the secret -------------------------------------------------------------------------------------------------------


def test_a_wrong_secret(page: Page) -> None:
    verify(page, signed(new_secret(), secret=new_secret()))
    expect(verdict(page)).to_have_text("✕ Not valid: the signature does not match.")
    expect(line(page, "webhook-signature")).to_contain_text("✕ webhook-signature It does not match")
    expect(line(page, "secret")).to_contain_text("Each endpoint has a secret of its own")


SECRET = "whsec_" + base64.b64encode(bytes(range(223, 255))).decode()  # With + and / in it.


def test_a_secret_that_was_spoilt(page: Page) -> None:
    for typed, sign, said in (
        (f" {SECRET} ", "✓", "! secret It is the right one, with white space around it"),
        (SECRET.removeprefix("whsec_"), "✓", "! secret It is the right one, without whsec_"),
        (SECRET.replace("+", " "), "✕", "✕ secret There are spaces in it where + should be"),
        (f"{SECRET[:20]} {SECRET[20:]}", "✕", "✕ secret There are spaces in it. Else it is right"),
        (f"{SECRET[:-4]}!!!!", "✕", "✕ secret What follows whsec_ is not base64"),
        ("s2_test_abcdefgh", "✕", "✕ secret This is an API key"),
        ("hunter2", "✕", "✕ secret It does not begin with whsec_"),
        ("", "✕", "✕ secret It is missing"),
    ):
        verify(page, signed(SECRET, secret=typed))
        expect(verdict(page)).to_contain_text(sign)
        expect(line(page, "secret")).to_contain_text(said)


def test_a_signature_of_ones_own_made_with_a_wrong_key(page: Page) -> None:
    for key, said in (
        (SECRET.encode(), "made with the secret's text as the key"),
        (SECRET.removeprefix("whsec_").encode(), "made with the secret's text as the key"),
        (base64.b64decode(SECRET.replace("_", "")), "decoded from the whole secret, with its prefix"),
        (
            base64.b64decode((SECRET.replace("_", "/").rstrip("="))[:48]),
            "decoded from the whole secret, with its prefix",
        ),
    ):
        verify(page, signed("whsec_" + base64.b64encode(key).decode(), secret=SECRET))
        expect(verdict(page)).to_have_text("✕ Not valid. What is wrong: secret.")
        expect(line(page, "secret")).to_contain_text(said)


# --- the body ---------------------------------------------------------------------------------------------------------

CHANGES: list[tuple[Callable[[str], str], str]] = [
    (lambda body: re.sub(r'([,:]) (?=["{\[\d tn])', r"\1", body), "it was parsed and written anew"),
    (lambda body: re.sub(r'(?<=[{,])\s*(?="[^"]*":)', "\n    ", body), "it was parsed and written anew"),
    (lambda body: re.sub("[öß🎬]", escaped, body), "it was parsed and written anew"),
    (lambda body: body.replace("/", "\\/"), "it was parsed and written anew"),
    (lambda body: body + "\n", "a line end was added at its end"),
    (lambda body: f"  {body} ", "white space was added around it"),
    (lambda body: f"\ufeff{body}", "a byte order mark was put before it"),
    (lambda body: repr(body.encode()), "it was shown as a Python value, b'…'"),
    (json.dumps, "it was written as a JSON string, in quotes"),
]


def escaped(match: re.Match[str]) -> str:
    return json.dumps(match[0]).strip('"')


def test_a_body_that_was_changed_on_its_way(page: Page) -> None:
    for change, how in CHANGES:
        verify(page, signed(new_secret()) | {"body": change(BODY)})
        expect(verdict(page)).to_have_text("✕ Not valid. What is wrong: body.")
        said = f"✕ body The body was changed on its way: {how}; verify over the raw bytes."
        expect(line(page, "body")).to_contain_text(said)
        expect(line(page, "secret")).to_contain_text("✓")


def test_a_body_sent_in_another_form_is_found_too(page: Page) -> None:
    compact = {"separators": (",", ":")}
    for form in ({}, compact, {"ensure_ascii": False, **compact}):
        verify(page, signed(new_secret(), body=json.dumps(CONTENT, **form)) | {"body": BODY})
        expect(line(page, "body")).to_contain_text("it was parsed and written anew; verify over the raw bytes")


def test_the_first_difference_is_shown(page: Page) -> None:
    verify(page, signed(new_secret(), body='{"a": 1}') | {"body": '{"a":1}'})
    expect(line(page, "body").get_by_role("definition")).to_have_text(['{"a": 1}', '{"a":1}'])


def test_a_body_with_line_ends_is_compared_with_both_kinds(page: Page) -> None:
    verify(page, signed(new_secret(), body='{\r\n"a": 1\r\n}'))
    expect(line(page, "body")).to_contain_text("its line ends are LF, and were CRLF")


def test_a_body_of_which_a_part_is_lost(page: Page) -> None:
    for body, said in (
        (BODY[:-9], "✕ body It is not a JSON object: cut off"),
        (BODY.replace("9", "8"), "? body It does not match as it is"),
        ("", "✕ body It is missing"),
    ):
        verify(page, signed(new_secret()) | {"body": body})
        expect(verdict(page)).to_contain_text("✕")
        expect(line(page, "body")).to_contain_text(said)


# --- the headers ------------------------------------------------------------------------------------------------------


def test_an_id_that_is_not_that_of_the_body(page: Page) -> None:
    secret = new_secret()
    verify(page, signed(secret, id="evt_another"))
    expect(verdict(page)).to_have_text("✕ Not valid. What is wrong: webhook-id.")
    expect(line(page, "webhook-id")).to_contain_text("With the body's id the signature is valid")
    verify(page, signed(secret, id="evt_another", secret=new_secret()))
    expect(line(page, "webhook-id")).to_contain_text("They are of two messages")


def test_a_header_that_is_missing_or_malformed(page: Page) -> None:
    right = signed(new_secret())
    stamp, signature = right["timestamp"], right["signature"]
    hexadecimal = "v1," + base64.b64decode(signature.removeprefix("v1,")).hex()
    for name, value, said in (
        ("id", "", "It is missing"),
        ("timestamp", " ", "It is missing"),
        ("signature", "", "It is missing"),
        ("timestamp", f"{stamp}123", f"These are milliseconds.It is in seconds: {stamp}"),
        ("timestamp", "2026-01-24T10:00:00Z", "It is not a number of seconds since 1970"),
        ("signature", signature.removeprefix("v1,"), "It matches, but v1, is missing before it"),
        ("signature", hexadecimal, "It matches, but it is in hex digits"),
        ("signature", signature[:-8], "It is malformed: it is 27 bytes long and not 32"),
        ("signature", "v1,???", "It is malformed: it is not base64"),
        ("signature", "v1a,YQ==", "It is malformed: its version v1a is not v1"),
    ):
        verify(page, right | {name: value})
        expect(verdict(page)).to_contain_text(re.compile(f"^✕ .*webhook-{name}"))
        expect(line(page, f"webhook-{name}")).to_contain_text(f"✕ webhook-{name} {said}")


PASTED = (
    "POST /hook HTTP/1.1\r\nHost: example.com\r\nWebhook-Id: {id}\r\nWebhook-Timestamp: {timestamp}\r\n"
    "Webhook-Signature: {signature}\r\n\r\n{body}",
    "-H 'webhook-id: {id}' -H 'webhook-timestamp: {timestamp}' -H 'webhook-signature: {signature}'",
    '"webhook-id": "{id}",\n"webhook-timestamp": "{timestamp}",\n"webhook-signature": "{signature}"',
    "'HTTP_WEBHOOK_ID': '{id}', 'HTTP_WEBHOOK_TIMESTAMP': '{timestamp}', 'HTTP_WEBHOOK_SIGNATURE': '{signature}'",
    "[HTTP_WEBHOOK_ID] => {id}\n[HTTP_WEBHOOK_TIMESTAMP] => {timestamp}\n[HTTP_WEBHOOK_SIGNATURE] => {signature}",
)


def test_all_headers_can_be_pasted_at_once(open_page: OpenPage) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(ADDRESS)
    for text in PASTED:
        message = signed(new_secret(), new_secret())
        for part in ("id", "timestamp", "signature", "body"):
            text = text.replace("{" + part + "}", message[part])
        verify(page, {"body": message["body"], "secret": message["secret"]})
        page.evaluate("text => navigator.clipboard.writeText(text)", text)
        page.get_by_label("webhook-id", exact=True).focus()
        page.keyboard.press("Control+V")
        expect(verdict(page)).to_have_count(0)
        page.keyboard.press("Enter")
        expect(verdict(page)).to_contain_text("✓ Valid")
        expect(line(page, "webhook-signature")).to_contain_text("Signature 1 of 2 matches")
        page.get_by_role("button", name="Clear").click()


# --- the page ---------------------------------------------------------------------------------------------------------


def test_nothing_leaves_the_page(page: Page) -> None:
    asked: list[Request] = []
    # The browser asks for the icon when it finds the time.
    page.on("request", lambda request: None if request.url.endswith("icon.svg") else asked.append(request))
    message = signed(new_secret())
    verify(page, message)
    expect(verdict(page)).to_contain_text("✓ Valid")
    page.get_by_role("button", name="Try an example").click()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_label("Secret", exact=True)).to_have_value("")
    expect(verdict(page)).to_have_count(0)
    page.wait_for_timeout(500)
    assert asked == []
    assert page.url.endswith(ADDRESS)
    kept = "[localStorage.length, sessionStorage.length, document.cookie, history.state]"
    assert page.evaluate(kept) == [0, 0, "", None]


def test_without_javascript_the_secret_stays_in_the_page_too(browser: Browser, live_server: LiveServer) -> None:
    page = browser.new_page(base_url=live_server.url, java_script_enabled=False)
    page.goto(ADDRESS)
    page.get_by_label("Secret", exact=True).fill(SECRET)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    with page.expect_console_message() as refused:
        page.keyboard.press("Enter")
    assert "\"form-action 'none'\". The request has been blocked" in refused.value.text
    assert [request.url for request in asked if "whsec" in request.url] == []
    page.close()


def test_without_cryptography_it_says_what_to_do(open_page: OpenPage) -> None:
    page = open_page()
    page.add_init_script("delete Crypto.prototype.subtle")
    page.goto(ADDRESS)
    expect(page.get_by_text("Open this page over https://")).to_be_visible()
    expect(page.get_by_role("button", name="Verify")).to_be_disabled()


def test_the_secret_is_hidden_until_it_is_asked_for(page: Page) -> None:
    secret = page.get_by_label("Secret", exact=True)
    expect(secret).to_have_attribute("type", "password")
    show = page.get_by_role("button", name="Show")
    show.click()
    expect(secret).to_have_attribute("type", "text")
    expect(show).to_have_attribute("aria-pressed", "true")
    show.click()
    expect(secret).to_have_attribute("type", "password")


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    for above in ("Documentation", "Receive webhooks"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=above)).to_be_focused()
    page.keyboard.press("Tab")
    message = signed(new_secret())
    for name in ("id", "timestamp", "signature", "body", "secret"):
        page.keyboard.insert_text(message[name])
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(verdict(page)).to_contain_text("✓ Valid")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(open_page: OpenPage, scheme: str) -> None:
    page = open_page(viewport=PHONE, color_scheme=scheme)
    page.goto(ADDRESS)
    secret = new_secret()
    bad = signed(secret, id="evt_another", timestamp="123", body=BODY) | {"body": BODY.replace(", ", ",")}
    for message in (
        signed(secret),
        bad,
        signed(secret, ago=timedelta(hours=1)),
        signed(secret) | {"body": BODY + "\n"},
    ):
        verify(page, message)
        expect(verdict(page)).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert faint_texts(page) == []
