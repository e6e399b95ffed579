"""Signing and verifying by Standard Webhooks."""

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from webhooks import signing

BODY = '{"event": "batch.completed", "note": "größer"}'


def signed(secrets: list[str], at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return signing.signature_headers(event_id="evt_1", body=BODY, secrets=secrets, at=at)


def test_a_secret_is_whsec_and_32_random_bytes() -> None:
    first, second = signing.new_secret(), signing.new_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"))) == 32


def test_the_public_library_verifies_what_was_signed() -> None:
    secret = signing.new_secret()
    assert Webhook(secret).verify(BODY.encode(), signed([secret])) == {
        "event": "batch.completed",
        "note": "größer",
    }


def test_the_example_of_the_specification_gives_its_signature() -> None:
    headers = signing.signature_headers(
        event_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        body='{"test": 2432232314}',
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        at=datetime.fromtimestamp(1614265330, UTC),
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_time_in_another_zone_signs_the_same() -> None:
    secret, at = signing.new_secret(), datetime.now(UTC)
    assert signed([secret], at.astimezone(timezone(timedelta(hours=9)))) == signed([secret], at)


def test_while_a_secret_rotates_either_verifies() -> None:
    old, new = signing.new_secret(), signing.new_secret()
    headers = signed([new, old])
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(BODY, headers)
        assert signing.verify(secrets=[secret], headers=headers, body=BODY.encode()) == ""


def test_one_of_several_secrets_is_enough() -> None:
    secret = signing.new_secret()
    secrets = [signing.new_secret(), secret]
    assert signing.verify(secrets=secrets, headers=signed([secret]), body=BODY.encode()) == ""


def test_header_names_may_come_in_any_case() -> None:
    secret = signing.new_secret()
    headers = {name.title(): value for name, value in signed([secret]).items()}
    assert signing.verify(secrets=[secret], headers=headers, body=BODY.encode()) == ""


@pytest.mark.parametrize("name", signing.HEADERS)
def test_a_missing_header_is_named(name: str) -> None:
    secret = signing.new_secret()
    headers = signed([secret])
    del headers[name]
    assert signing.verify(secrets=[secret], headers=headers, body=BODY.encode()) == f"missing header {name}"


@pytest.mark.parametrize("value", ["yesterday", "nan", "1e9", "-5", "9" * 40, "9" * 12, "١٢٣"])
def test_a_malformed_timestamp_is_named(value: str) -> None:
    secret = signing.new_secret()
    headers = signed([secret]) | {"webhook-timestamp": value}
    reason = signing.verify(secrets=[secret], headers=headers, body=BODY.encode())
    assert reason == "malformed webhook-timestamp"


@pytest.mark.parametrize("value", ["garbage", "v1", "v1,", "v1,!!!", "v1,a", ",YQ==", "v1,YQ==,YQ==", "v1,ключ"])
def test_a_malformed_signature_is_named(value: str) -> None:
    secret = signing.new_secret()
    headers = signed([secret]) | {"webhook-signature": value}
    reason = signing.verify(secrets=[secret], headers=headers, body=BODY.encode())
    assert reason == "malformed webhook-signature"


@pytest.mark.parametrize(("minutes", "reason"), [(-6, "timestamp too old"), (6, "timestamp too new")])
def test_a_timestamp_far_from_now_is_refused(minutes: int, reason: str) -> None:
    secret = signing.new_secret()
    headers = signed([secret], datetime.now(UTC) + timedelta(minutes=minutes))
    assert signing.verify(secrets=[secret], headers=headers, body=BODY.encode()) == reason


def test_a_changed_body_has_no_matching_signature() -> None:
    secret = signing.new_secret()
    body = BODY.replace("completed", "canceled").encode()
    assert signing.verify(secrets=[secret], headers=signed([secret]), body=body) == "no matching signature"


@pytest.mark.parametrize("secrets", [[], ["whsec_"], ["whsec_!"], ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]])
def test_a_wrong_secret_or_none_has_no_matching_signature(secrets: list[str]) -> None:
    headers = signed([signing.new_secret()])
    assert signing.verify(secrets=secrets, headers=headers, body=BODY.encode()) == "no matching signature"


def test_a_body_that_is_no_text_is_named() -> None:
    secret = signing.new_secret()
    assert signing.verify(secrets=[secret], headers=signed([secret]), body=b"\xff\xfe") == "body is not UTF-8"


@given(headers=st.dictionaries(st.sampled_from(signing.HEADERS), st.text()), body=st.binary())
def test_garbage_never_raises_and_never_verifies(headers: dict[str, str], body: bytes) -> None:
    assert signing.verify(secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], headers=headers, body=body)
