"""A whole running system in real processes, for tests: its web address, its API, and the processes to kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import redis
import requests

from tests.databases import copied_database, own_database

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 40


class System:
    """A stack that runs in its own data directory."""

    def __init__(self, directory: Path, url: str, settings: Mapping[str, str]) -> None:
        self.directory, self.url, self.settings = directory, url, settings

    @property
    def state(self) -> dict[str, Any]:
        """Return what the stack says it runs: pids by name, and the environment of its programs."""
        state: dict[str, Any] = json.loads((self.directory / "stack.json").read_text())
        return state

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a management command against the running system."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=clean_environment(self.directory, **self.settings),
            capture_output=True,
            text=True,
            check=check,
        )

    def provision(self, *, credits: int = 100, **options: object) -> dict[str, Any]:
        """Provision a pilot; return what the command prints."""
        options = {"rate_limit": 100_000, **options}
        extra = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        run = self.manage("provision_pilot", "--name", "Acme", "--credits", str(credits), "--json", *extra)
        provisioned: dict[str, Any] = json.loads(run.stdout)
        return provisioned

    def api(self, key: str) -> requests.Session:
        """Return a session with this key; give it whole addresses."""
        session = requests.Session()
        session.headers["X-API-Key"] = key
        return session

    def create(self, key: str, prompts: list[str], **fields: object) -> dict[str, Any]:
        """Post a batch of these prompts; return the answer."""
        body = {"request_id": os.urandom(8).hex(), "items": [{"prompt": p} for p in prompts], **fields}
        response = self.api(key).post(f"{self.url}/api/enterprise/video-batch", json=body, timeout=30)
        assert response.status_code == 201, response.text
        batch: dict[str, Any] = response.json()
        return batch

    def batch(self, key: str, batch_id: str) -> dict[str, Any]:
        """Return the batch as it now is."""
        response = self.api(key).get(f"{self.url}/api/enterprise/video-batch/{batch_id}", timeout=30)
        assert response.status_code == 200, response.text
        batch: dict[str, Any] = response.json()
        return batch

    def until(self, key: str, batch_id: str, condition: Callable[[dict[str, Any]], bool], seconds: float = 120) -> Any:
        """Wait until the batch satisfies `condition`; fail when that takes too long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            batch = self.batch(key, batch_id)
            if condition(batch):
                return batch
            time.sleep(0.2)
        raise AssertionError(f"not within {seconds} s: {batch}")

    def final(self, key: str, batch_id: str, seconds: float = 120) -> dict[str, Any]:
        """Wait for the batch's end and return it."""
        batch: dict[str, Any] = self.until(
            key, batch_id, lambda b: b["state"] in ("completed", "partial", "failed"), seconds
        )
        return batch

    def processes(self, name: str) -> list[psutil.Process]:
        """Return a program's processes, its first one first; none while it is down."""
        try:
            state = self.state
            first = psutil.Process(state["pids"][name])
            # A number may be another's by now: what the stack did not start is none of ours.
            return [first, *first.children(recursive=True)] if first.ppid() == state["pid"] else []
        except (KeyError, psutil.NoSuchProcess):
            return []

    def log(self, name: str) -> str:
        """Return what a program has written into its log."""
        file = self.directory / "log" / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def database_url(self) -> str:
        """Where its database is."""
        url: str = {**self.settings, **self.state["environment"]}["DATABASE_URL"]
        return url

    def kill(self, name: str) -> None:
        """Kill -9 a program of the stack with all its children, by their pids."""
        parent = psutil.Process(self.state["pids"][name])
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program of the stack."""
        os.kill(self.state["pids"][name], number)

    def broker(self) -> redis.Redis:
        """Return a client of the system's broker."""
        return redis.Redis.from_url(self.state["environment"]["REDIS_URL"])


def clean_environment(directory: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment without the test run's own servers and settings, and without trial batches."""
    own = {"DATABASE_URL", "REDIS_URL", "SORA2_DATA_DIR", "MEDIA_ROOT", "DEBUG", "DJANGO_SETTINGS_MODULE"}
    kept = {name: value for name, value in os.environ.items() if name not in own and not name.startswith("PYTEST_")}
    return {**kept, "SORA2_DATA_DIR": str(directory), "SLA_BATCH_MINUTES": "0", **settings}


def run_as_role(*tests: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run tests in a pytest of its own, as the restricted role (see tests.as_role)."""
    with tempfile.TemporaryDirectory(prefix="sora2-role-") as folder:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "-m", "not long", *tests],
            cwd=ROOT,
            env=clean_environment(Path(folder), SORA2_TEST_ROLE="1", **settings),
            capture_output=True,
            text=True,
        )


def on(database_url: str) -> dict[str, str]:
    """Return the settings of a developer's system on a given database."""
    return {"DATABASE_URL": database_url, "DEBUG": "1", "WEBHOOK_DEV_ALLOWED_TARGETS": "http://127.0.0.1:*"}


@contextlib.contextmanager
def running(*, workers: int = 2, **settings: str) -> Iterator[System]:
    """Run a whole system while the block runs, on a database of its own or one that is told; nothing of it is left.

    Where SORA2_TEST_ROLE is set (see tests.as_role), it runs as the restricted role.
    """
    with contextlib.ExitStack() as held:
        if "DATABASE_URL" not in settings:
            settings = on(held.enter_context(_database())) | settings
        yield held.enter_context(running_embedded(workers=workers, **settings))


@contextlib.contextmanager
def running_embedded(*, workers: int = 2, **settings: str) -> Iterator[System]:
    """Run a whole system with an embedded PostgreSQL of its own, unless told a database; nothing of it is left."""
    command = [sys.executable, "manage.py", "stack", "--port", "0", "--workers", str(workers)]
    # Not pytest's tmp_path: the embedded PostgreSQL runs as another user when we are root, and must get in.
    with tempfile.TemporaryDirectory(prefix="sora2-system-") as folder:
        directory, log = Path(folder), Path(folder, "stack.log")
        with log.open("w") as errors:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=clean_environment(directory, **settings),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line.startswith("ready http"), f"{line!r}\n{log.read_text()}"
            yield System(directory, line.split()[1], settings)
        finally:
            process.terminate()
            assert process.wait(STOP_SECONDS) == 0, log.read_text()


@contextlib.contextmanager
def _database() -> Iterator[str]:
    if not os.environ.get("SORA2_TEST_ROLE"):
        with copied_database() as url:
            yield url
        return
    with own_database() as database:
        yield database.role_url
