"""The page that verifies a signature in the browser: who may see it, and what a browser may do on it."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

ADDRESS = "/docs/enterprise/webhooks/verify"


def page() -> Any:
    response = Client().get(ADDRESS)
    assert response.status_code == 200
    return response


def test_everybody_may_read_it_and_it_asks_no_database() -> None:
    assert "Verify a webhook" in page().text
    assert "sessionid" not in page().cookies
    assert "csrftoken" not in page().cookies


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nothing_can_be_sent_to_it(method: str) -> None:
    assert getattr(Client(), method)(ADDRESS).status_code == 405


def test_its_policy_lets_nothing_out() -> None:
    headers = page().headers
    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'none'",
        "media-src": "'none'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "public, max-age=300"


def test_whatever_it_loads_is_a_file_of_ours() -> None:
    loaded = re.findall(r'<(?:link|script|img)\b[^>]*?(?:href|src)="([^"]*)"', page().text)
    assert len(loaded) >= 4
    for address in loaded:
        assert address.startswith("/static/")
        assert finders.find(address.removeprefix("/static/")), address


def test_nothing_is_inline() -> None:
    text = page().text
    assert re.findall(r"<script\b(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"<style\b|\bstyle=|\son\w+=", text) == []


def test_without_javascript_it_says_so_and_its_form_has_nothing_to_send() -> None:
    assert "<noscript>" in page().text
    (form,) = re.findall(r"<form\b.*?</form>", page().text, re.DOTALL)
    assert re.findall(r"\b(?:action|method|name)=", form) == []


def test_its_scripts_know_no_way_to_send_or_to_keep_anything() -> None:
    for name in ("docs/verify.js", "docs/examine.js"):
        found = finders.find(name)
        assert isinstance(found, str)
        source = Path(found).read_text()
        sending = (
            r"\b(fetch|XMLHttpRequest|sendBeacon|WebSocket|EventSource|localStorage|sessionStorage|indexedDB|cookie)\b"
        )
        assert re.findall(sending, source) == []
