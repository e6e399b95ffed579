"""Real receivers of webhooks on loopback, good and bad, down to the bytes that they send.

`with serve(answers(200)) as receiver:` listens on a free port; `receiver.url` is what to call and
`receiver.requests` what came. A behaviour is what a receiver does on a connection once it has read a request.
"""

import contextlib
import functools
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Received:
    """One request as it came; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """A listening receiver and what it has seen."""

    url: str
    port: int
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    closing: threading.Event = field(default_factory=threading.Event)


Behaviour = Callable[[socket.socket, Receiver, Received], None]


def answers(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answer at once and keep the connection open."""
    lines = [f"{name}: {value}\r\n" for name, value in (headers or {}).items()]
    head = f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n{''.join(lines)}\r\n"
    return sends(head.encode() + body)


def echoes_path() -> Behaviour:
    """Answer 200 with the path of the request."""

    def behave(connection: socket.socket, receiver: Receiver, received: Received) -> None:
        answers(200, received.path.encode())(connection, receiver, received)

    return behave


def sends(data: bytes) -> Behaviour:
    """Send exactly these bytes and keep the connection open."""

    def behave(connection: socket.socket, _: Receiver, __: Received) -> None:
        connection.sendall(data)

    return behave


def sends_and_closes(data: bytes) -> Behaviour:
    """Send exactly these bytes, then close the connection."""

    def behave(connection: socket.socket, receiver: Receiver, received: Received) -> None:
        sends(data)(connection, receiver, received)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


def redirects_to(url: str) -> Behaviour:
    """Answer 302 to `url`."""
    return answers(302, headers={"Location": url})


def slow(seconds: float, then: Behaviour) -> Behaviour:
    """Wait before behaving like `then`."""

    def behave(connection: socket.socket, receiver: Receiver, received: Received) -> None:
        if not receiver.closing.wait(seconds):
            then(connection, receiver, received)

    return behave


def hangs() -> Behaviour:
    """Take the request and never say a word."""
    return slow(60, answers(200))


def drips(data: bytes, *, before: bytes = b"", every_seconds: float = 0.02) -> Behaviour:
    """Send `before` at once, then `data` one byte at a time, over and over, for up to a minute."""

    def behave(connection: socket.socket, receiver: Receiver, received: Received) -> None:
        connection.sendall(before)
        for position in range(round(60 / every_seconds)):
            if receiver.closing.wait(every_seconds):
                return
            connection.sendall(data[position % len(data)].to_bytes())

    return behave


def drips_headers() -> Behaviour:
    """Begin an answer and never come to the end of one header."""
    return drips(b"x", before=b"HTTP/1.1 200 OK\r\nX-Drip: ")


def drips_body() -> Behaviour:
    """Answer 200 and send a long body byte by byte."""
    return drips(b"x", before=b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")


def floods(data: bytes, *, before: bytes = b"") -> Behaviour:
    """Send `before`, then `data` over and over, as fast as it is taken, until the caller goes away."""

    def behave(connection: socket.socket, receiver: Receiver, _: Received) -> None:
        connection.sendall(before)
        while not receiver.closing.is_set():
            connection.sendall(data)

    return behave


def resets() -> Behaviour:
    """Take the request and reset the connection."""

    def behave(connection: socket.socket, _: Receiver, __: Received) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionAbortedError

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Behave like each of these, one request after another; the last one repeats."""
    left = list(behaviours)

    def behave(connection: socket.socket, receiver: Receiver, received: Received) -> None:
        now = left.pop(0) if len(left) > 1 else left[0]
        now(connection, receiver, received)

    return behave


def self_signed(host: str, folder: Path, *, valid_days: int = 1) -> tuple[ssl.SSLContext, Path]:
    """Return a server's TLS context for `host` (a name or an address), and the file of its certificate.

    With `valid_days` below 0 it has expired.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=valid_days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    both, public = folder / "server.pem", folder / "certificate.pem"
    public.write_bytes(certificate.public_bytes(pem))
    both.write_bytes(secret + public.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, public


@contextlib.contextmanager
def serve(behaviour: Behaviour, *, tls: ssl.SSLContext | None = None, reads_bodies: bool = True) -> Iterator[Receiver]:
    """Run a receiver on a free port of loopback until the block ends.

    One that doesn't read bodies has what it wants once it has read the headers of a request.
    """
    scheme = "https" if tls else "http"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        receiver = Receiver(url=f"{scheme}://127.0.0.1:{port}/hook", port=port)
        converse = functools.partial(_converse, receiver=receiver, behaviour=behaviour, tls=tls, reads=reads_bodies)
        threading.Thread(target=_accept, args=(listener, receiver, converse), daemon=True).start()
        try:
            yield receiver
        finally:
            receiver.closing.set()
            # Closing alone wouldn't wake the thread that waits in accept().
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def accepts_nothing() -> Iterator[int]:
    """Yield a port of loopback whose queue of connections is full, so that connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()[1]


def free_port() -> int:
    """Return a port of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _accept(listener: socket.socket, receiver: Receiver, converse: Callable[[socket.socket], None]) -> None:
    while not receiver.closing.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:  # The listener was shut down.
            return
        receiver.connections += 1
        threading.Thread(target=converse, args=(connection,), daemon=True).start()


def _converse(
    connection: socket.socket, *, receiver: Receiver, behaviour: Behaviour, tls: ssl.SSLContext | None, reads: bool
) -> None:
    # The caller may go away at any point, or not speak HTTP; that is what many of the tests are about.
    with contextlib.suppress(OSError, ValueError), connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talking = tls.wrap_socket(connection, server_side=True) if tls else connection
        with talking, talking.makefile("rb") as incoming:
            while not receiver.closing.is_set():
                received = _read_request(incoming, reads)
                if received is None:
                    return
                receiver.requests.append(received)
                behaviour(talking, receiver, received)


def _read_request(incoming: BinaryIO, reads_body: bool) -> Received | None:
    line = incoming.readline().decode()
    if not line:
        return None
    method, path, _ = line.split(" ", 2)
    headers: dict[str, str] = {}
    for raw in iter(incoming.readline, b"\r\n"):
        name, _, value = raw.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = incoming.read(int(headers.get("content-length", "0"))) if reads_body else b""
    return Received(method=method, path=path, headers=headers, body=body)
