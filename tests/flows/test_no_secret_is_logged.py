"""No secret is in any log, at whatever level, whether requests succeed, are refused, or fail on our side."""

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.db import connection
from django.test import Client

from customers.access import SCOPES
from customers.keys import new_secret
from customers.models import Mode
from customers.services import create_api_key
from tests.factories import BASE, Account, order

pytestmark = pytest.mark.django_db


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """Everything that any logger says from now on, as the console would show it; with each statement's SQL."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(),
            foreign_pre_chain=[structlog.contextvars.merge_contextvars, structlog.stdlib.add_logger_name],
        )
    )
    connection.force_debug_cursor = True
    root = logging.getLogger()
    known = [logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    levels = {logger: logger.level for logger in [root, *known]}
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield stream.getvalue
    connection.force_debug_cursor = False
    root.removeHandler(handler)
    for logger, level in levels.items():
        logger.setLevel(level)


def test_no_secret_is_in_the_logs(account: Account, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = create_api_key(organization=account.organization, mode=Mode.LIVE, name="All", scopes=SCOPES)
    mistyped, unknown = secret[:-1] + ("0" if secret[-1] != "0" else "1"), new_secret("live")
    client = Client(headers={"X-API-Key": secret}, raise_request_exception=False)
    secrets = [secret, mistyped, unknown]

    def post(path: str, body: Any = None) -> Any:
        response = client.post(f"{BASE}{path}", body or {}, content_type="application/json")
        if "secret" in response.json():
            secrets.append(response.json()["secret"])
        return response

    endpoint = post("/webhook-endpoints", {"url": "https://example.com/hook"}).json()
    post(f"/webhook-endpoints/{endpoint['id']}/rotate-secret")
    made = post("/keys", {"name": "Made", "scopes": ["batches:read"]}).json()
    post(f"/keys/{made['id']}/rotate")
    assert post("/video-batch", order(1)).status_code == 201
    assert post("/video-batch", {secret: secret}).status_code == 400
    for wrong in (mistyped, unknown):
        assert Client(headers={"X-API-Key": wrong}).get(f"{BASE}/wallet").status_code == 401
    monkeypatch.setattr("ledger.api.wallet_json", _fail)
    assert client.get(f"{BASE}/wallet").status_code == 500
    said = logged()
    assert key.pk in said
    assert "INSERT INTO" in said
    assert "Traceback" in said
    assert "wallet_json is out of order" in said
    assert len(secrets) == 7
    for each in secrets:
        assert each not in said
        assert each.removeprefix("whsec_")[:40] not in said


def _fail(*_: Any) -> Any:
    raise RuntimeError("wallet_json is out of order")
