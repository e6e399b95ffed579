"""Liveness, readiness, and what the API says when the database or an address is missing."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from sora2.handlers import BodilessHeadMiddleware, DatabaseDownMiddleware
from tests.factories import Account, Api


@pytest.fixture
def unreachable(tmp_path: Path) -> Iterator[None]:
    """The database is gone: nobody listens where it was."""
    before = connection.settings_dict
    connection.settings_dict = {**before, "HOST": str(tmp_path), "PORT": ""}
    yield
    connection.close()
    connection.settings_dict = before


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "hanging.sock"))
        listener.listen(10)
        yield f"unix://{tmp_path}/hanging.sock"


def test_a_process_that_serves_is_alive(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"ok": True})


@pytest.mark.django_db
def test_ready_with_database_and_broker(client: Client) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"ok": True, "database": "up", "broker": "up"})
    assert response.headers["X-Trace-Id"]


@pytest.mark.django_db
def test_ready_without_the_broker(client: Client, settings: Settings, tmp_path: Path) -> None:
    for url in (f"unix://{tmp_path}/nobody.sock", "redis://127.0.0.1:1/0", ""):
        settings.REDIS_URL = url
        response = client.get("/readyz")
        assert (response.status_code, response.json()) == (200, {"ok": True, "database": "up", "broker": "down"})


@pytest.mark.django_db
def test_a_broker_that_hangs_does_not_hold_the_answer(client: Client, settings: Settings, hanging: str) -> None:
    settings.REDIS_URL = hanging
    started = time.monotonic()
    assert client.get("/readyz").json()["broker"] == "down"
    assert time.monotonic() - started < 1.5


@pytest.mark.django_db(transaction=True)
@pytest.mark.unbooked
@pytest.mark.usefixtures("unreachable")
def test_not_ready_without_the_database(client: Client) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"ok": False, "database": "down", "broker": "up"})
    assert response.headers["Retry-After"]


@pytest.mark.django_db(transaction=True)
def test_without_the_database_the_api_says_so_as_json(account: Account, tmp_path: Path) -> None:
    api = account.api
    connection.close()
    before = connection.settings_dict
    connection.settings_dict = {**before, "HOST": str(tmp_path), "PORT": ""}
    try:
        response = api.get("/wallet")
    finally:
        connection.close()
        connection.settings_dict = before
    assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"]
    assert "host" not in response.json()["detail"]


class FailingMiddleware:
    """Fails as a middleware that asks the database does when that is gone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        raise OperationalError("connection refused") if "wallet" in request.path else ValueError("broken")


def test_a_middleware_that_fails_is_answered_as_json_too(settings: Settings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.sora2.test_health.FailingMiddleware"]
    client = Client(raise_request_exception=False)
    gone, broken = client.get("/api/enterprise/wallet"), client.get("/api/enterprise/ledger")
    assert (gone.status_code, gone.json()["code"]) == (503, "service_unavailable")
    assert gone.headers["Retry-After"]
    assert (broken.status_code, broken.json()["code"]) == (500, "internal_error")
    assert gone.json()["trace_id"] == gone.headers["X-Trace-Id"]


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["", "/", "/nothing", "/video-batch/", "/video-batch/bat_x/nothing", "/a\nb", "/%00"])
def test_an_unknown_address_of_the_api_is_answered_as_json(settings: Settings, path: str, debug: bool) -> None:
    settings.DEBUG = debug
    for method in ("GET", "POST", "DELETE"):
        response = Api(None).send(method, path, b"x", "text/plain")
        assert response.status_code == 404
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == "not_found"


@pytest.mark.django_db  # The end of a stream lets go of connections that earlier tests have opened.
def test_head_is_answered_without_a_body() -> None:
    request = HttpRequest()
    request.method = "HEAD"
    plain = BodilessHeadMiddleware(lambda _: HttpResponse("text", headers={"Content-Length": "4"}))(request)
    streamed = BodilessHeadMiddleware(lambda _: StreamingHttpResponse(["text"]))(request)
    assert isinstance(plain, HttpResponse)
    assert (plain.content, plain.headers["Content-Length"]) == (b"", "4")
    assert streamed.getvalue() == b""


def test_other_unknown_addresses_are_django_s(client: Client) -> None:
    response = client.get("/nothing")
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


def test_a_page_says_in_words_that_the_database_is_down(rf: RequestFactory) -> None:
    middleware = DatabaseDownMiddleware(lambda _: HttpResponse())
    answer = middleware.process_exception(rf.get("/admin/"), OperationalError("gone"))
    assert answer is not None
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert b"No credit was moved" in answer.content
    assert middleware.process_exception(rf.get("/admin/"), ValueError()) is None
