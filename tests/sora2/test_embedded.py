"""The embedded servers: started, shared, hurt and stopped for real."""

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

import environ
import psycopg
import pytest
import redis
from kombu import Connection
from limits.storage import storage_from_string

from sora2.brokers import broker_url, limits_url
from sora2.embedded import EmbeddedServerError, development_defaults, embedded_servers, needs_servers
from sora2.places import SOCKET_PATH_MAX_BYTES
from sora2.processes import FileLock, command_line
from sora2.servers import Postgres, Valkey

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A place of its own, not pytest's: its root loses the search bit whenever another run of pytest begins."""
    with tempfile.TemporaryDirectory(prefix="sora2-") as place:
        yield Path(place).resolve()


@pytest.fixture
def servers(data_dir: Path) -> Iterator[dict[str, str]]:
    with embedded_servers(data_dir, durable=False) as urls:
        yield urls


def test_both_servers_take_requests_at_the_addresses_they_give(servers: dict[str, str]) -> None:
    with psycopg.connect(servers["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT current_database(), current_setting('listen_addresses')").fetchone()
    assert row == ("sora2", "")
    with redis.Redis.from_url(servers["REDIS_URL"]) as client:
        assert client.ping()
        assert client.config_get("port") == {"port": "0"}


def test_django_kombu_and_limits_understand_the_addresses(servers: dict[str, str]) -> None:
    config = environ.Env().db_url_config(servers["DATABASE_URL"])
    with psycopg.connect(dbname=config["NAME"], user=config["USER"], **config["OPTIONS"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    url = servers["REDIS_URL"].replace("db=0", "db=3")
    with Connection(broker_url(url)) as broker:
        channel: Any = broker.default_channel
        client = channel.client
        assert client.ping()
        assert client.connection_pool.connection_kwargs["db"] == 3
    assert storage_from_string(limits_url(url)).check()


def test_a_clean_stop_leaves_no_process_and_no_socket(data_dir: Path) -> None:
    with embedded_servers(data_dir, durable=False):
        pids = _pids_of(data_dir)
        assert len(pids) == 2
    assert not _pids_of(data_dir)
    assert not Postgres(data_dir).sockets.exists()
    assert not Valkey(data_dir).sockets.exists()


def test_committed_rows_and_keys_survive_a_restart(data_dir: Path) -> None:
    with embedded_servers(data_dir) as urls:
        _remember(urls)
    with embedded_servers(data_dir) as urls:
        assert _remembered(urls) == (1, b"1")


def test_committed_rows_and_keys_survive_kill_9_of_the_servers(data_dir: Path) -> None:
    with embedded_servers(data_dir) as urls:
        _remember(urls)
        time.sleep(1.1)  # Valkey writes its file through once a second.
        for pid in _pids_of(data_dir):
            os.kill(pid, signal.SIGKILL)
    with embedded_servers(data_dir) as urls:
        assert _remembered(urls) == (1, b"1")


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells children that their parent died.")
def test_kill_9_of_the_owner_ends_the_servers_and_the_next_start_works(data_dir: Path) -> None:
    owner = _hold_servers(data_dir)
    pids = _pids_of(data_dir)
    owner.kill()
    owner.wait()
    with embedded_servers(data_dir) as urls:
        assert not set(pids) & set(_pids_of(data_dir))
        _remember(urls)


def test_a_process_number_in_a_stale_pid_file_may_be_anothers_by_now(data_dir: Path) -> None:
    with embedded_servers(data_dir, valkey=False):
        content = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    innocent = subprocess.Popen(["sleep", "60"])
    try:
        stale = "\n".join([str(innocent.pid), *content[1:]])
        (data_dir / "postgres" / "postmaster.pid").write_text(stale)
        with embedded_servers(data_dir, valkey=False):
            assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_a_second_process_uses_the_running_servers_and_leaves_them_running(data_dir: Path) -> None:
    owner = _hold_servers(data_dir)
    before = _pids_of(data_dir)
    with embedded_servers(data_dir) as urls:
        _remember(urls)
    assert _pids_of(data_dir) == before
    _let_go(owner)
    assert not _pids_of(data_dir)


def test_an_owner_waits_for_those_who_still_use_its_servers(data_dir: Path) -> None:
    owner = _hold_servers(data_dir)
    with embedded_servers(data_dir) as urls:
        assert owner.stdin is not None
        owner.stdin.close()
        time.sleep(0.5)
        assert owner.poll() is None
        _remember(urls)
    assert owner.wait(10) == 0


def test_two_starts_at_once_share_one_server(data_dir: Path) -> None:
    owners = [_start_holder(data_dir) for _ in range(2)]
    for owner in owners:
        _await_up(owner)
    assert len(_pids_of(data_dir)) == 2
    # Both at once: the owner waits for the other, whichever it is.
    for owner in owners:
        assert owner.stdin is not None
        owner.stdin.close()
    assert [owner.wait(15) for owner in owners] == [0, 0]


@pytest.mark.parametrize("name", ["deep/" * 30, "a place & 100% ünusual?", "a,b"])
def test_a_path_that_no_socket_or_url_could_carry_is_no_obstacle(data_dir: Path, name: str) -> None:
    with embedded_servers(data_dir / name, durable=False) as urls:
        assert len(urls["REDIS_URL"].encode()) < SOCKET_PATH_MAX_BYTES + len("unix://?db=0")
        _remember(urls)


def test_sockets_of_two_directories_never_meet(data_dir: Path) -> None:
    places = {Valkey(data_dir / ("deep/" * 30) / name).sockets for name in ("a", "b")}
    assert len(places) == 2


def test_only_its_owner_may_enter_a_sockets_directory(servers: dict[str, str], data_dir: Path) -> None:
    for server in (Postgres(data_dir), Valkey(data_dir)):
        assert server.sockets.stat().st_mode & 0o077 == 0


def test_an_interrupted_initdb_is_done_again(data_dir: Path) -> None:
    leftover = data_dir / "postgres.unfinished"
    leftover.mkdir()
    (leftover / "half").write_text("")
    with embedded_servers(data_dir, valkey=False, durable=False) as urls:
        psycopg.connect(urls["DATABASE_URL"]).close()


def test_a_failing_start_shows_the_end_of_the_log_and_its_place(data_dir: Path) -> None:
    with embedded_servers(data_dir, valkey=False, durable=False):
        pass
    (data_dir / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError) as failure, embedded_servers(data_dir, valkey=False):
        pass
    assert "no_such_setting" in str(failure.value)
    assert str(data_dir / "log" / "postgres.log") in str(failure.value)


def test_a_missing_wheel_names_the_remedy(data_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _without_wheels(data_dir)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "run bin/setup" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("manage.py migrate", True),
        ("manage.py provision_pilot --name Acme --credits 100", True),
        ("manage.py stack --port 0", False),
        ("manage.py simulate_provider", False),
        ("manage.py makemigrations --check", False),
        ("manage.py migrate --help", False),
        ("manage.py --version", False),
        ("manage.py", False),
    ],
)
def test_only_commands_that_need_servers_get_them(line: str, needed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert needs_servers(line.split()) is needed


def test_a_command_with_both_addresses_set_gets_no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/sora2")
    monkeypatch.setenv("REDIS_URL", "redis://somewhere:6379/0")
    assert not needs_servers(["manage.py", "migrate"])


def test_a_lock_is_free_again_when_its_holder_is_killed(data_dir: Path) -> None:
    holder = _hold_servers(data_dir, postgres=False)
    lock = FileLock(data_dir / "run" / "valkey.lock")
    assert not lock.acquire()
    assert lock.holder() == str(holder.pid)
    holder.kill()
    holder.wait()
    assert lock.acquire()
    lock.release()
    Valkey(data_dir).clear()


def test_a_server_that_is_not_running_does_not_answer(data_dir: Path) -> None:
    assert not Postgres(data_dir).answers()
    assert not Valkey(data_dir).answers()


HOLDER = """
import sys
from pathlib import Path
from sora2.embedded import embedded_servers
with embedded_servers(Path(sys.argv[1]), postgres=sys.argv[2] == "True"):
    print("up", flush=True)
    sys.stdin.read()
"""


def _hold_servers(directory: Path, *, postgres: bool = True) -> subprocess.Popen[str]:
    """Run the servers in another process until its standard input closes."""
    holder = _start_holder(directory, postgres=postgres)
    _await_up(holder)
    return holder


def _start_holder(directory: Path, *, postgres: bool = True) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory), str(postgres)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _await_up(holder: subprocess.Popen[str]) -> None:
    assert holder.stdout is not None
    timer = threading.Timer(30, holder.kill)
    timer.start()
    try:
        assert holder.stdout.readline() == "up\n"
    finally:
        timer.cancel()


def _let_go(holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    holder.stdin.close()
    assert holder.wait(15) == 0


def _without_wheels(directory: Path) -> str:
    return f"""
import importlib.util, os
importlib.util.find_spec = lambda name: None
os.environ.pop("DATABASE_URL", None)
os.environ["SORA2_DATA_DIR"] = {str(directory)!r}
from sora2.embedded import servers_for_command
with servers_for_command(["manage.py", "migrate"]):
    pass
"""


def _remember(urls: dict[str, str]) -> None:
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS memory (value integer)")
        connection.execute("INSERT INTO memory VALUES (1)")
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        client.set("memory", 1)


def _remembered(urls: dict[str, str]) -> tuple[object, object]:
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT value FROM memory").fetchone()
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        return row and row[0], client.get("memory")


def _pids_of(directory: Path) -> list[int]:
    """Return the servers' main processes on this directory: Valkey changes its arguments, so by its place."""
    numbers = [int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit()]
    return sorted(
        pid
        for pid in numbers
        if str(directory / "postgres") in command_line(pid) or _place_of(pid) == str(directory / "valkey")
    )


def _place_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


HERE = "http://127.0.0.1:1234"
LOCAL_TARGETS = "http://127.0.0.1:*"


@pytest.mark.parametrize(
    ("environment", "defaults"),
    [
        ({}, {"DEBUG": "1", "PUBLIC_BASE_URL": HERE, "WEBHOOK_DEV_ALLOWED_TARGETS": LOCAL_TARGETS}),
        ({"DEBUG": "0"}, {"PUBLIC_BASE_URL": HERE}),
        ({"DATABASE_URL": "postgres://db/x"}, {}),
        ({"DATABASE_URL": "postgres://db/x", "DEBUG": "1"}, {"PUBLIC_BASE_URL": HERE}),
        ({"DATABASE_URL": "postgres://db/x", "DEBUG": "1", "PUBLIC_BASE_URL": "http://else"}, {}),
    ],
)
def test_a_developers_machine_gets_what_its_environment_lacks(
    environment: dict[str, str], defaults: dict[str, str]
) -> None:
    assert development_defaults(environment, HERE) == defaults
