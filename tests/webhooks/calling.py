"""Calls by the guarded client, and names that resolve to what a test says."""

import _socket
import socket
import time
from collections.abc import Sequence
from typing import Any

import pytest

from webhooks import guarded

# No call may take longer than this, whatever its deadline: it guards against hanging, and measures nothing.
HANG_SECONDS = 8.0


def post(url: str, deadline_seconds: float = 5.0, headers: dict[str, str] | None = None) -> guarded.Answer:
    """Post a small body."""
    started = time.monotonic()
    answer = guarded.post(url, body=b'{"a": 1}', headers=headers or {}, deadline_seconds=deadline_seconds)
    assert time.monotonic() - started < HANG_SECONDS
    return answer


def resolve(monkeypatch: pytest.MonkeyPatch, name: str, *answers: str | Sequence[str]) -> list[str]:
    """Let `name` resolve to these in turn, each an address or several; the last repeats. No other name resolves.

    Return the look-ups made, of whatever name, down where Python asks the system.
    """
    real, left, asked = _socket.getaddrinfo, list(answers), []

    def getaddrinfo(host: Any, port: Any, *options: int) -> Any:
        family, kind, protocol, flags = (*options, 0, 0, 0, 0)[:4]
        try:
            return real(host, port, family, kind, protocol, flags | socket.AI_NUMERICHOST)
        except socket.gaierror:
            look_up(host)
        answer = left.pop(0) if len(left) > 1 else left[0]
        addresses = [answer] if isinstance(answer, str) else answer
        return [row for address in addresses for row in real(address, port, family, kind, protocol, flags)]

    def look_up(host: Any, *_: Any) -> None:
        asked.append(host)
        if host != name:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def never(host: Any, *_: Any) -> Any:
        look_up(host)
        raise AssertionError("There is one way to look a name up.")

    monkeypatch.setattr(_socket, "getaddrinfo", getaddrinfo)
    for module in (_socket, socket):
        for function in ("gethostbyname", "gethostbyname_ex"):
            monkeypatch.setattr(module, function, never)
    return asked


def refuse_connections(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Let every connection be refused; return the addresses and ports that are dialled."""
    dialled: list[tuple[str, int]] = []

    def refuse(_: socket.socket, to: tuple[str, int]) -> None:
        dialled.append(to)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return dialled
