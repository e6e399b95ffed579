"""Whose key a request carries, and what that key may."""

import pytest

from customers.access import Permission
from customers.models import ApiKey, Mode
from tests.factories import Account, Api, api_with_scopes, code_of, order

pytestmark = pytest.mark.django_db


def test_a_key_opens_its_own_wallet(account: Account) -> None:
    assert account.api.get("/wallet").json()["livemode"] is True
    assert account.test_api.get("/wallet").json()["livemode"] is False


def test_no_odd_secret_opens_anything(account: Account) -> None:
    """What the walk through all operations does not send (tests/flows/test_access_walk.py)."""
    good = account.secrets[Mode.LIVE]
    for secret in ["", "x", good.upper(), f" {good[1:]}", "ключ", "s2_live_" + "é" * 36]:
        response = Api(secret).get("/wallet")
        assert code_of(response) == (401, "invalid_api_key")
        assert response.headers["WWW-Authenticate"]
        assert "RateLimit-Limit" not in response.headers


def test_authentication_comes_before_everything_else() -> None:
    anonymous = Api(None)
    assert anonymous.send("DELETE", "/video-batch").status_code == 401
    assert anonymous.send("POST", "/video-batch", b"{", "text/plain").status_code == 401
    assert anonymous.get("/video-batch/nonsense").status_code == 401


def test_a_scope_is_looked_at_before_the_body(account: Account) -> None:
    reader = api_with_scopes(account.organization, [Permission.BATCHES_READ])
    assert reader.send("POST", "/video-batch", b"{", "text/plain").status_code == 403


def test_the_time_of_the_last_use_is_kept(account: Account) -> None:
    account.api.post("/video-batch/quote", order())
    assert ApiKey.objects.get(pk=account.keys[Mode.LIVE].pk).last_used_at is not None
