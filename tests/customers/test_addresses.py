"""From where a key may be used: the client's address, also behind proxies, and what is told of a refusal."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from customers.addresses import NoNetwork, client_address, covers, is_allowed, read_network
from customers.models import ApiKey, AuditEvent, Mode
from customers.services import create_api_key
from tests.factories import BASE, Account

IN, OUT = "203.0.113.9", "198.51.100.7"


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "address"),
    [
        (0, IN, "", IN),
        (0, OUT, IN, OUT),
        (0, "::ffff:203.0.113.9", "", IN),
        (0, "2001:db8::1", "", "2001:db8::1"),
        (0, "", "", None),
        (1, "10.0.0.1", IN, IN),
        (1, "10.0.0.1", f"{IN}, {OUT}", OUT),
        (1, IN, "", None),
        (2, "10.0.0.1", f"{OUT}, {IN}, 10.0.0.2", IN),
        (2, "10.0.0.1", f"{IN}", None),
        (1, "10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "10.0.0.1", "::ffff:203.0.113.9", IN),
        (1, "10.0.0.1", f"{IN}:4711", IN),
        (1, "10.0.0.1", f"{IN},", None),
        (1, "10.0.0.1", "unknown", None),
    ],
)
def test_the_address_is_the_one_that_our_outermost_proxy_saw(
    settings: Settings, proxies: int, remote: str, forwarded: str, address: str | None
) -> None:
    settings.TRUSTED_PROXIES = proxies
    found = client_address({"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded})
    assert found == (ip_address(address) if address else None)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        (" 203.0.113.0/24 ", "203.0.113.0/24"),
        ("203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_has_one_form(text: str, network: str) -> None:
    assert read_network(text) == network


@pytest.mark.parametrize("text", ["", "x", "203.0.113.7/24", "203.0.113.0/33", "300.0.0.1", "10.0.0.0/8,"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(NoNetwork):
        read_network(text)


def test_networks_hold_addresses_of_their_own_kind() -> None:
    assert is_allowed(None, [])
    assert not is_allowed(None, ["0.0.0.0/0", "::/0"])
    assert is_allowed(ip_address(IN), ["2001:db8::/32", "203.0.113.0/24"])
    assert not is_allowed(ip_address(IN), ["2001:db8::/32", "::/0"])
    assert covers([], []) and covers([], ["10.0.0.0/8"])  # noqa: PT018 - one thought.
    assert not covers(["10.0.0.0/8"], [])
    assert covers(["10.0.0.0/8", "::/0"], ["10.1.0.0/16", "2001:db8::/32"])
    assert not covers(["10.0.0.0/8"], ["::/0"])


# --- over HTTP -----------------------------------------------------------------------------------------------------


def get(secret: str, **meta: Any) -> Any:
    return Client(headers={"X-API-Key": secret}).get(f"{BASE}/wallet", **meta)


@pytest.fixture
def limited(account: Account) -> tuple[ApiKey, str]:
    """A key that may be used from 203.0.113.0/24."""
    return create_api_key(
        organization=account.organization, mode=Mode.LIVE, name="Office", allowed_networks=["203.0.113.0/24"]
    )


def test_a_key_works_from_its_networks_only(limited: tuple[ApiKey, str]) -> None:
    _, secret = limited
    assert get(secret, REMOTE_ADDR=IN).status_code == 200
    refused, unknown = get(secret, REMOTE_ADDR=OUT), get("nonsense", REMOTE_ADDR=IN)
    assert refused.status_code == 401
    assert {**refused.json(), "trace_id": ""} == {**unknown.json(), "trace_id": ""}
    assert "address" in refused.json()["detail"]


def test_a_made_up_header_opens_nothing(limited: tuple[ApiKey, str], settings: Settings) -> None:
    _, secret = limited
    assert get(secret, REMOTE_ADDR=OUT, HTTP_X_FORWARDED_FOR=IN).status_code == 401
    settings.TRUSTED_PROXIES = 1
    assert get(secret, REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=f"{IN}, {OUT}").status_code == 401
    assert get(secret, REMOTE_ADDR=IN).status_code == 401
    assert get(secret, REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=f"{OUT}, {IN}").status_code == 200


def test_the_secret_of_before_a_rotation_is_held_to_the_networks_too(limited: tuple[ApiKey, str]) -> None:
    key, secret = limited
    ApiKey.objects.filter(pk=key.pk).update(
        secret_sha256="x", previous_secret_sha256=key.secret_sha256, previous_secret_until="2999-01-01T00:00:00Z"
    )
    assert get(secret, REMOTE_ADDR=IN).status_code == 200
    assert get(secret, REMOTE_ADDR=OUT).status_code == 401


def test_a_refusal_is_written_down_once_in_ten_minutes(limited: tuple[ApiKey, str], account: Account) -> None:
    key, secret = limited
    for last in range(5):
        get(secret, REMOTE_ADDR=f"198.51.100.{last}")
    told = AuditEvent.objects.get(action="key.use")
    assert (told.actor, told.subject, told.outcome, told.detail["address"]) == (
        key.pk,
        key.pk,
        "address_not_allowed",
        "198.51.100.0",
    )
    ApiKey.objects.filter(pk=key.pk).update(refused_at=timezone.now() - timedelta(minutes=11))
    get(secret, REMOTE_ADDR=OUT)
    assert AuditEvent.objects.filter(action="key.use").count() == 2
    key.refresh_from_db()
    assert (key.refused_address, key.last_used_at) == (OUT, None)


def test_who_comes_from_nowhere_is_written_down_too(limited: tuple[ApiKey, str]) -> None:
    _, secret = limited
    assert get(secret, REMOTE_ADDR="").status_code == 401
    assert AuditEvent.objects.get(action="key.use").detail["address"] == ""
