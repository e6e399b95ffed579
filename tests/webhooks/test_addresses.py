"""Which addresses the guarded client calls: a table of those that it refuses, and names that change their mind."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pytest_django import Settings

from tests.webhooks import receivers
from tests.webhooks.calling import post, refuse_connections, resolve
from webhooks import guarded

FORBIDDEN = guarded.Answer(error="forbidden_target")
NAME = "hooks.example.com"

# By what they are.
ADDRESSES = {
    "this host": "0.0.0.0",  # noqa: S104  # It is refused, not bound to.
    "this network": "0.1.2.3",
    "private 10/8, first": "10.0.0.1",
    "private 10/8, last": "10.255.255.255",
    "private 172.16/12, first": "172.16.0.1",
    "private 172.16/12, last": "172.31.255.255",
    "private 192.168/16": "192.168.0.1",
    "carriers' NAT": "100.64.0.1",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Amazon, Google, Azure": "169.254.169.254",
    "metadata of Amazon's containers": "169.254.170.2",
    "metadata of Amazon, IPv6": "fd00:ec2::254",
    "metadata of Google, IPv6": "fd20:ce::254",
    "metadata of Oracle": "192.0.0.192",
    "host agent of Azure": "168.63.129.16",
    "loopback": "127.0.0.1",
    "loopback, last": "127.255.255.254",
    "link-local": "169.254.0.1",
    "protocol assignments": "192.0.0.8",
    "port control": "192.0.0.9",
    "NAT64 discovery": "192.0.0.170",
    "documentation 1": "192.0.2.1",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "6to4 relay": "192.88.99.1",
    "benchmarking, first": "198.18.0.1",
    "benchmarking, last": "198.19.255.255",
    "multicast, first": "224.0.0.1",
    "multicast, last": "239.255.255.255",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "IPv6: no address": "::",
    "IPv6: loopback": "::1",
    "IPv4-compatible: loopback": "::127.0.0.1",
    "IPv4-compatible: public": "::8.8.8.8",
    "IPv4-mapped: loopback": "::ffff:127.0.0.1",
    "IPv4-mapped: private": "::ffff:10.0.0.1",
    "IPv4-mapped: metadata": "::ffff:169.254.169.254",
    "IPv4-translated: loopback": "::ffff:0:127.0.0.1",
    "NAT64: loopback": "64:ff9b::7f00:1",
    "NAT64: metadata": "64:ff9b::a9fe:a9fe",
    "NAT64 of a network: loopback": "64:ff9b:1::7f00:1",
    "6to4: loopback": "2002:7f00:1::",
    "6to4: metadata": "2002:a9fe:a9fe::",
    "Teredo": "2001::1",
    "Teredo: loopback": "2001:0:808:808:0:0:80ff:fffe",
    "IPv6: discard": "100::1",
    "IPv6: benchmarking": "2001:2::1",
    "IPv6: ORCHID": "2001:10::1",
    "IPv6: ORCHID 2": "2001:20::1",
    "IPv6: documentation 1": "2001:db8::1",
    "IPv6: documentation 2": "3fff::1",
    "IPv6: former 6bone": "3ffe::1",
    "IPv6: segment routing": "5f00::1",
    "IPv6: unique local fc": "fc00::1",
    "IPv6: unique local fd": "fd12:3456::1",
    "IPv6: link-local": "fe80::1",
    "IPv6: site-local": "fec0::1",
    "IPv6: multicast": "ff02::1",
}

# Other spellings of an address, and names, as they stand between https:// and the port.
HOSTS = {
    "decimal": "2130706433",
    "decimal, private": "3232235521",
    "zero": "0",
    "hexadecimal": "0x7f000001",
    "hexadecimal, capitals": "0X7F000001",
    "hexadecimal, short": "0x7f.1",
    "hexadecimal at the end": "127.0.0.0x1",
    "octal": "0177.0.0.1",
    "octal in one": "017700000001",
    "octal, private": "0300.0250.0.1",
    "two parts": "127.1",
    "three parts": "127.0.1",
    "five parts": "127.0.0.0.1",
    "leading zeros": "127.000.000.001",
    "no such numbers": "256.256.256.256",
    "dot at the end": "127.0.0.1.",
    "dots at the end": "127.0.0.1..",
    "full-width digits": "１２７.０.０.１",
    "full-width digit": "１27.0.0.1",
    "ideographic dots": "127。0。0。1",
    "circled digits": "①②⑦.⓪.⓪.①",
    "digits of another script": "١٢٧.0.0.1",
    "percent-encoded digits": "%31%32%37.0.0.1",
    "percent-encoded name": "%6cocalhost",
    "space of no width": "127.0.0.1\u200b",
    "right to left": "\u202e127.0.0.1",
    "IPv6 written out": "[0:0:0:0:0:0:0:1]",
    "IPv6 with zeros": "[0000::0001]",
    "IPv6 mapped in hexadecimal": "[::ffff:7f00:1]",
    "IPv6 mapped, public": "[::ffff:8.8.8.8]",
    "IPv6 with a zone": "[::1%25lo]",
    "IPv6 with a bare zone": "[fe80::1%eth0]",
    "IPv6 with a zone, public": "[2606:4700::1%25eth0]",
    "IPv6 without brackets": "::1",
    "IPv6 with half a bracket": "[::1",
    "IPv6 and more": "[::1].example.com",
    "IPv4 in brackets": "[127.0.0.1]",
    "IP of the future": "[v1.fe80::1]",
    "localhost": "localhost",
    "LOCALHOST": "LOCALHOST",
    "localhost, dot at the end": "localhost.",
    "localhost, dots at the end": "localhost..",
    "localhost, ideographic dot": "localhost。",
    "localhost, full width": "ｌｏｃａｌｈｏｓｔ",
    "*.localhost": "hooks.localhost",
    "localhost.localdomain": "localhost.localdomain",
    "*.local": "printer.local",
    "*.internal": "foo.internal",
    "metadata by name": "metadata.google.internal",
    "*.home.arpa": "router.home.arpa",
    "*.cluster.local": "kubernetes.default.svc.cluster.local",
    "bare name": "intranet",
    "empty": "",
    "dot": ".",
    "empty label": "example..com",
    "dots after a name": "example.com..",
    "dot before a name": ".example.com",
    "wildcard": "*.example.com",
    "two hosts": "example.com,127.0.0.1",
    "NUL in a name": "example.com\x00.localhost",
    "percent-encoded NUL": "localhost%00.example.com",
}

URLS = {
    "http": "http://example.com/hook",
    "http to loopback": "http://127.0.0.1:{port}/",
    "ftp": "ftp://example.com/hook",
    "file": "file:///etc/passwd",
    "file on a host": "file://localhost/etc/passwd",
    "gopher": "gopher://127.0.0.1:{port}/_POST",
    "dict": "dict://127.0.0.1:{port}/",
    "jar": "jar:https://example.com!/",
    "data": "data:text/plain,x",
    "unix socket": "http+unix://%2frun%2fx.sock/",
    "no scheme": "example.com/hook",
    "scheme left open": "//example.com/hook",
    "no slashes": "https:example.com/",
    "three slashes": "https:///example.com/hook",
    "nothing": "",
    "just a scheme": "https://",
    "port 22": "https://example.com:22/",
    "port 80": "https://example.com:80/",
    "port 6379": "https://example.com:6379/",
    "port 0": "https://example.com:0/",
    "port 65536": "https://example.com:65536/",
    "port below 0": "https://example.com:-443/",
    "port in letters": "https://example.com:port/",
    "port in full width": "https://example.com:４４３/",
    "two ports": "https://example.com:443:{port}/",
    "user": "https://user@example.com/",
    "user and password": "https://user:password@example.com/",
    "empty user": "https://@example.com/",
    "host as user": "https://example.com@127.0.0.1:{port}/",
    "host and port as user": "https://example.com:443@127.0.0.1:{port}/",
    "percent-encoded @": "https://example.com%40127.0.0.1:{port}/",
    "fragment": "https://example.com/#fragment",
    "empty fragment": "https://example.com/#",
    "fragment before the user": "https://127.0.0.1:{port}#@example.com/",
    "fragment after the user": "https://example.com#@127.0.0.1:{port}/",
    "backslash before the host": "https:\\\\127.0.0.1:{port}/",
    "backslash before the user": "https://example.com\\@127.0.0.1:{port}/",
    "backslash after the user": "https://127.0.0.1:{port}\\@example.com/",
    "backslash in the path": "https://example.com/\\",
    "space before": " https://127.0.0.1:{port}/",
    "space in the host": "https://exam ple.com/",
    "space in the path": "https://example.com/a b",
    "tab in the host": "https://127.0.\t0.1:{port}/",
    "tab in the scheme": "ht\ttps://127.0.0.1:{port}/",
    "newline in the host": "https://127.0.0.1\n.example.com:{port}/",
    "newline at the end": "https://example.com/\n",
    "another header": "https://example.com/\r\nX-Injected: 1",
    "NUL in the path": "https://example.com/\x00",
    "slash of another width": "https://example.com／@127.0.0.1:{port}/",
    "very long": "https://example.com/" + "a" * guarded.URL_MAX_BYTES,
    "long in bytes": "https://example.com/" + "ä" * (guarded.URL_MAX_BYTES // 2),
    "name too long": f"https://{'a' * 300}.localhost/",
}

REFUSED = {
    **{
        f"{what}, {address}": f"https://{f'[{address}]' if ':' in address else address}:{{port}}/"
        for what, address in ADDRESSES.items()
    },
    **{f"host: {what}": f"https://{host}:{{port}}/" for what, host in HOSTS.items()},
    **{f"URL: {what}": url for what, url in URLS.items()},
}

# As the system resolves them.
LOOPBACK = ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "0.0.0.0"]  # noqa: S104


@dataclass
class Listener:
    """Waits on a port of loopback that customers' addresses may have, so that a call which gets through is seen."""

    port: int
    sockets: list[socket.socket]
    dialled: list[Any] = field(default_factory=list)

    def visits(self) -> int:
        """Return how many connections came since it was last asked."""
        count = 0
        for waiting in self.sockets:
            with contextlib.suppress(BlockingIOError):
                while True:
                    waiting.accept()[0].close()
                    count += 1
        return count


@pytest.fixture(scope="module")
def waiting() -> Iterator[Listener]:
    """Listen on both loopbacks, or on the one that there is."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = first.getsockname()[1]
        sockets = [first]
        with contextlib.suppress(OSError):
            sockets.append(stack.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6)))
        for each in sockets:
            each.setblocking(False)
        yield Listener(port, sockets)


@pytest.fixture
def listener(waiting: Listener, no_exception: None, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """Let its port be one that customers may use, and see what is dialled."""
    connect, dialled = socket.socket.connect, waiting.dialled
    dialled.clear()

    def dial(self: socket.socket, to: Any) -> None:
        dialled.append(to)
        connect(self, to)

    monkeypatch.setattr(socket.socket, "connect", dial)
    monkeypatch.setattr(guarded, "PORTS", (*guarded.PORTS, waiting.port))
    return waiting


def with_port(url: str, listener: Listener) -> str:
    return url.replace("{port}", str(listener.port))


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_when_entered_and_when_called_and_no_connection_is_made(url: str, listener: Listener) -> None:
    url = with_port(url, listener)
    with pytest.raises(guarded.ForbiddenTarget, match=r"^The address .*\.$"):
        guarded.check_url(url)
    assert post(url) == FORBIDDEN
    assert (listener.dialled, listener.visits()) == ([], 0)


@pytest.mark.parametrize("host", LOOPBACK)
def test_who_does_not_guard_would_have_reached_the_listener(host: str, listener: Listener) -> None:
    socket.create_connection((host, listener.port), timeout=5).close()
    assert listener.visits() == 1


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_name_that_resolves_to_such_an_address_is_never_called(
    address: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not guarded.is_public(address)
    asked = resolve(monkeypatch, NAME, address)
    url = f"https://{NAME}:{listener.port}/"
    guarded.check_url(url)
    answer = post(url)
    assert (answer.error, answer.status_code, answer.response) == ("forbidden_target", None, "")
    assert (listener.dialled, listener.visits(), asked) == ([], 0, [NAME])


def test_refusing_never_names_the_address_that_a_name_resolved_to(
    no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, NAME, "10.1.2.3")
    assert "10.1.2.3" not in repr(post(f"https://{NAME}/"))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?token=a%20b&x=1",
        "https://example.com?@127.0.0.1/",
        "https://EXAMPLE.com:443/hook",
        "https://hooks.example.com:8443/hook",
        "https://example.com./hook",
        "https://bücher.example/hook",
        "https://a_b.example.com/",
        "https://8.8.8.8/hook",
        "https://[2606:4700:4700::1111]:8443/hook",
    ],
)
def test_a_public_https_address_is_accepted_without_a_look_up(
    url: str, no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve(monkeypatch, NAME, "127.0.0.1")
    guarded.check_url(url)
    assert asked == []


# --- names that change their mind ---------------------------------------------------------------------------


@pytest.mark.parametrize("public", ["8.8.8.8", "::ffff:8.8.8.8"])
def test_a_name_is_looked_up_once_and_the_connection_goes_to_the_very_address_that_was_checked(
    public: str, no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve(monkeypatch, NAME, public, "127.0.0.1")
    dialled = refuse_connections(monkeypatch)
    assert post(f"https://{NAME}:8443/").error == "connection_refused"
    assert (dialled, asked) == ([("8.8.8.8", 8443)], [NAME])


def test_a_name_that_turns_to_loopback_after_its_check_is_refused(
    no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve(monkeypatch, NAME, "8.8.8.8", "127.0.0.1")
    dialled = refuse_connections(monkeypatch)
    assert post(f"https://{NAME}/").error == "connection_refused"
    assert post(f"https://{NAME}/").error == "forbidden_target"
    assert (dialled, asked) == ([("8.8.8.8", 443)], [NAME] * 2)


@pytest.mark.parametrize(
    ("addresses", "error", "expected"),
    [
        (["8.8.8.8", "127.0.0.1"], "connection_refused", [("8.8.8.8", 443)]),
        (["8.8.8.8", "10.0.0.1", "::1"], "connection_refused", [("8.8.8.8", 443)]),
        (["127.0.0.1", "8.8.8.8"], "forbidden_target", []),
        (["::ffff:127.0.0.1", "8.8.8.8"], "forbidden_target", []),
        (["169.254.169.254", "8.8.8.8"], "forbidden_target", []),
    ],
)
def test_of_several_addresses_an_internal_one_is_never_dialled(
    addresses: list[str], error: str, expected: list[Any], no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve(monkeypatch, NAME, addresses)
    dialled = refuse_connections(monkeypatch)
    assert post(f"https://{NAME}/").error == error
    assert (dialled, asked) == (expected, [NAME])


def test_a_name_is_checked_anew_when_a_connection_that_was_closed_while_idle_is_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, fresh_client: None
) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://hooks.test:*"]
    asked = resolve(monkeypatch, "hooks.test", "127.0.0.1", "127.0.0.1", "10.0.0.1")
    with receivers.serve(receivers.in_turn(receivers.answers(200), receivers.resets())) as receiver:
        assert post(f"http://hooks.test:{receiver.port}/").ok
        assert post(f"http://hooks.test:{receiver.port}/").error == "forbidden_target"
    assert asked == ["hooks.test"] * 3


# --- the exception for development --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("http://127.0.0.1:*", "http://127.0.0.1:8000/", True),
        ("http://127.0.0.1:*", "http://127.0.0.1/", True),
        ("http://127.0.0.1:80", "http://127.0.0.1/", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/", True),
        ("HTTP://LocalHost:*", "http://localhost:8000/", True),
        ("http://[::1]:*", "http://[::1]:8000/", True),
        ("https://127.0.0.1:443", "https://127.0.0.1/", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:80001/", False),
        ("http://127.0.0.1:*", "https://127.0.0.1:8000/", False),
        ("http://127.0.0.1:*", "http://127.0.0.2:8000/", False),
        ("http://127.0.0.1:*", "http://localhost:8000/", False),
        ("http://127.0.0.1:*", "http://127.0.0.1.example.com:8000/", False),
        ("http://127.0.0.1:*", "http://user@127.0.0.1:8000/", False),
        ("http://*:*", "http://127.0.0.1:8000/", False),
        ("127.0.0.1", "http://127.0.0.1:8000/", False),
    ],
)
def test_the_exception_for_development_holds_for_just_its_scheme_host_and_port(
    entry: str, url: str, allowed: bool, settings: Settings
) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = [entry]
    if allowed:
        guarded.check_url(url)
    else:
        with pytest.raises(guarded.ForbiddenTarget):
            guarded.check_url(url)


def test_the_exception_for_development_reaches_loopback_but_no_other_internal_address(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://hooks.test:*"]
    asked = resolve(monkeypatch, "hooks.test", "127.0.0.1", "168.63.129.16")
    with receivers.serve(receivers.answers(200)) as receiver:
        assert post(f"http://hooks.test:{receiver.port}/").ok
        assert post(f"http://hooks.test:{receiver.port}/").error == "forbidden_target"
    assert len(receiver.requests) == 1
    assert receiver.requests[0].headers["host"] == f"hooks.test:{receiver.port}"
    assert asked == ["hooks.test"] * 2
