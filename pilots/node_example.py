"""Run the Node example as a customer does, as a process of its own.

A customer's developer has a tunnel through which webhooks reach their machine. Here the internal test endpoint is its
far end: what it gets is handed to the example as it came, byte for byte, and the example verifies it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from django.conf import settings

from pilots import loop
from pilots.preflight_account import Receiver
from webhooks.models import SinkMessage

FOLDER = Path(settings.BASE_DIR, "examples", "node")
EXAMPLE, TSX = FOLDER / "batch_basic.ts", FOLDER / "node_modules" / ".bin" / "tsx"
# From this version on it runs TypeScript as it is.
RUNS_TYPESCRIPT = (22, 18)
PROMPTS = ("A cat playing piano", "A dog in space", "A paper boat on a river of stars")
# What a program needs of its surroundings; our own secrets are not among it.
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "NODE_EXTRA_CA_CERTS")
SAID_CHARACTERS = 600


def run_example(*, api_key: str, receiver: Receiver, seconds: float) -> str:
    """Run the example to its end and return its last line. Raises loop.StepFailed, with what it said."""
    command, port = _command(), _free_port()
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
        "SORA2_URL": settings.PUBLIC_BASE_URL,
        "SORA2_API_KEY": api_key,
        "SORA2_WEBHOOK_SECRET": receiver.secret,
        "SORA2_WEBHOOK_URL": receiver.url,
        "SORA2_WEBHOOK_PORT": str(port),
        "SORA2_PATIENCE_SECONDS": f"{seconds:.0f}",
    }
    with tempfile.TemporaryFile("w+") as said, _started([*command, *PROMPTS], environment, said) as process:
        status = _wait(process, receiver, port, seconds)
        said.seek(0)
        lines = said.read().strip()
    if status is None:
        raise loop.StepFailed(f"it did not end within {seconds:.0f} s. It said: {_end_of(lines)}")
    if status != 0:
        raise loop.StepFailed(f"it ended with exit status {status}, not 0. It said: {_end_of(lines)}")
    return lines.rpartition("\n")[2]


def _command() -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise loop.StepFailed("there is no node on this machine: install Node.js 22.18 or later (package nodejs).")
    if TSX.is_file():
        return [str(TSX), str(EXAMPLE)]
    version = subprocess.run(
        [node, "--version"], capture_output=True, text=True, timeout=30, check=False
    ).stdout.strip()
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < RUNS_TYPESCRIPT:
        raise loop.StepFailed(
            f"node is {version or 'broken'}, which does not run TypeScript: install Node.js 22.18 or later, or run "
            "npm ci in examples/node."
        )
    return [node, str(EXAMPLE)]


@contextmanager
def _started(command: list[str], environment: Mapping[str, str], said: IO[str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a program, and end it with all that it has started when the block ends."""
    process = subprocess.Popen(
        command,
        cwd=FOLDER,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: "subprocess.Popen[str]", receiver: Receiver, port: int, seconds: float) -> int | None:
    """Hand what comes on until the program ends; return its exit status, None when it has not."""
    messages = SinkMessage.objects.filter(sink__endpoint_id=receiver.endpoint_id).order_by("pk")
    last = messages.values_list("pk", flat=True).last() or 0
    until = time.monotonic() + seconds
    while (status := process.poll()) is None and time.monotonic() < until:
        for message in messages.filter(pk__gt=last):
            last = message.pk
            url = f"http://127.0.0.1:{port}/"
            # It may have ended by now; what it lacks it says itself.
            with suppress(loop.StepFailed):
                loop.send(loop.session(), "POST", url, data=message.body.encode(), headers=message.headers)
        time.sleep(loop.LOOK_SECONDS)
    return status


def _end_of(text: str) -> str:
    return text[-SAID_CHARACTERS:] or "nothing"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
