"""`manage.py stack` as an operator runs it: ready, hurt, stopped."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sora2.processes import command_line

PROJECT = Path(__file__).resolve().parents[2]
PARTS = {"postgres", "valkey", "simulator", "worker", "beat", "web"}

pytestmark = pytest.mark.stack


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A place of its own, not pytest's: its root loses the search bit whenever another run of pytest begins."""
    with tempfile.TemporaryDirectory(prefix="sora2-") as place:
        yield Path(place).resolve()


@pytest.fixture
def stack(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {key: os.environ[key] for key in os.environ if key not in ("DATABASE_URL", "REDIS_URL", "MEDIA_ROOT")}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "stack", "--port", "0", "--workers", "1"],
        cwd=PROJECT,
        env=environment | {"SORA2_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.terminate()
    process.wait(30)


def test_a_stack_gets_ready_survives_deaths_and_leaves_nothing_behind(
    stack: subprocess.Popen[str], data_dir: Path
) -> None:
    url = _ready(stack)
    told = _told(data_dir)
    assert told["url"] == url
    assert set(told["pids"]) == PARTS

    os.kill(told["pids"]["web"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _told(data_dir)["pids"].get("web") in (None, told["pids"]["web"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # The port stayed open meanwhile: nobody is refused, they only wait.
    assert requests.get(f"{url}/readyz", timeout=30).status_code == 200

    pids = _told(data_dir)["pids"]
    began = time.monotonic()
    stack.terminate()
    assert stack.wait(30) == 0
    assert time.monotonic() - began < 30
    assert not [name for name, pid in pids.items() if command_line(pid)]
    assert not (data_dir / "stack.json").exists()


def _ready(stack: subprocess.Popen[str]) -> str:
    assert stack.stdout is not None
    timer = threading.Timer(120, stack.kill)
    timer.start()
    try:
        word, _, url = stack.stdout.readline().strip().partition(" ")
    finally:
        timer.cancel()
    assert word == "ready"
    return url


def _told(directory: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((directory / "stack.json").read_text())
    return told
