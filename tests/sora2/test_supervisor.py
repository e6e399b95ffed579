"""The supervisor, with small real programs: started, started again, stopped in order, never left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sora2 import supervisor as supervisor_module
from sora2.embedded import stack_environment, stack_file, stack_lock
from sora2.processes import Program, command_line
from sora2.stack import StackError, running_stack
from sora2.supervisor import ProgramFailed, Stopped, Supervisor

PROJECT = Path(__file__).resolve().parents[2]
LIVES = "import time; time.sleep(60)"
# Ends only after a while, and says when.
SLOW_TO_STOP = """
import pathlib, signal, sys, time
def leave(*_):
    time.sleep(0.2)
    with open(sys.argv[1], "a") as file: file.write(sys.argv[2] + "\\n")
    sys.exit()
signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1] + "." + sys.argv[2]).touch()
time.sleep(60)
"""
DEAF = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child: pathlib.Path(sys.argv[1]).write_text(str(child))
time.sleep(60)
"""


def test_a_program_that_dies_is_started_again(tmp_path: Path) -> None:
    told: list[str] = []
    with Supervisor(report=told.append) as supervisor:
        supervisor.start(program := _program(tmp_path, "part", LIVES))
        first = supervisor.pids()["part"]
        os.kill(first, signal.SIGKILL)
        supervisor.until(lambda: supervisor.pids().get("part", first) != first, program=program, seconds=5)
        assert len(told) == 1
        assert told[0].startswith("part ended (SIGKILL")


def test_a_restart_leaves_nothing_of_the_dead_program_behind(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.start(program := _program(tmp_path, "part", DEAF, str(tmp_path / "child"), seconds=0.3))
        supervisor.until((tmp_path / "child").exists, program=program, seconds=5)
        first = supervisor.pids()["part"]
        child = _number_in(tmp_path / "child")
        os.kill(first, signal.SIGKILL)
        supervisor.until(lambda: supervisor.pids().get("part", first) != first, program=program, seconds=5)
        _await(lambda: not command_line(child))


def test_the_waits_grow_and_a_steady_life_resets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(supervisor_module, "BACKOFF_SECONDS", (0.01, 0.02, 0.03))
    with Supervisor(report=told.append) as supervisor:
        supervisor.start(_program(tmp_path, "part", ""))
        _tend(supervisor, lambda: len(told) == 4)
        assert [line.rsplit(" in ")[-1] for line in told] == ["0.01 s", "0.02 s", "0.03 s", "0.03 s"]
        monkeypatch.setattr(supervisor_module, "STEADY_SECONDS", 0.0)
        _tend(supervisor, lambda: len(told) == 5)
        assert told[-1].endswith("again in 0.01 s")


def test_a_program_that_keeps_dying_at_its_start_is_given_up_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "BACKOFF_SECONDS", (0.01,))
    with Supervisor() as supervisor:
        supervisor.start(program := _program(tmp_path, "part", "raise SystemExit('no such thing')"))
        with pytest.raises(ProgramFailed, match="part died 5 times") as failure:
            supervisor.until(lambda: False, program=program, seconds=30)
        assert "no such thing" in str(failure.value)
        assert str(program.log) in str(failure.value)


def test_a_program_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.start(program := _program(tmp_path, "part", LIVES))
        with pytest.raises(ProgramFailed, match="part was not ready"):
            supervisor.until(lambda: False, program=program, seconds=0.2)


def test_the_others_are_tended_while_one_runs_to_its_end(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.start(_program(tmp_path, "part", LIVES))
        first = supervisor.pids()["part"]
        os.kill(first, signal.SIGKILL)
        supervisor.run(_program(tmp_path, "once", "import time; time.sleep(1)"))
        assert supervisor.pids()["part"] != first


def test_a_run_that_fails_raises_with_its_log(tmp_path: Path) -> None:
    with Supervisor() as supervisor, pytest.raises(ProgramFailed, match="exit status 1") as failure:
        supervisor.run(_program(tmp_path, "once", "raise SystemExit('bad migration')"))
    assert "bad migration" in str(failure.value)


def test_programs_stop_one_after_another_the_last_started_first(tmp_path: Path) -> None:
    order = tmp_path / "order"
    with Supervisor() as supervisor:
        for name in ("database", "worker", "web"):
            supervisor.start(program := _program(tmp_path, name, SLOW_TO_STOP, str(order), name))
            supervisor.until(Path(f"{order}.{name}").exists, program=program, seconds=5)
    assert order.read_text().split() == ["web", "worker", "database"]


def test_a_program_that_ignores_its_signal_is_killed_with_its_children(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.start(program := _program(tmp_path, "deaf", DEAF, str(tmp_path / "child"), seconds=0.3))
        supervisor.until((tmp_path / "child").exists, program=program, seconds=5)
        child = _number_in(tmp_path / "child")
        began = time.monotonic()
    assert time.monotonic() - began < 2
    _await(lambda: not command_line(child))


def test_a_stop_ends_every_wait(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with Supervisor(stop=stop) as supervisor, pytest.raises(Stopped):
        supervisor.run(_program(tmp_path, "once", LIVES))


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells children that their parent died.")
def test_nothing_is_left_running_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = f"""
import threading, time
from pathlib import Path
from sora2.processes import Program
from sora2.supervisor import Supervisor
def tend():
    supervisor = Supervisor()
    argv = ({sys.executable!r}, "-c", {LIVES!r})
    supervisor.start(Program(name="part", argv=argv, log=Path({str(tmp_path)!r}, "log")))
    print(supervisor.pids()["part"], flush=True)
    time.sleep(60)
threading.Thread(target=tend).start()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert command_line(child)
    parent.kill()
    parent.wait()
    _await(lambda: not command_line(child))


def test_a_log_that_has_grown_large_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    program = _program(tmp_path, "part", "print('new')")
    program.log.write_bytes(b"x" * (11 * 1024 * 1024))
    with Supervisor() as supervisor:
        supervisor.run(program)
    assert program.log.read_text() == "new\n"
    assert program.log.with_name("part.log.1").stat().st_size > 10 * 1024 * 1024


def test_a_stack_on_a_taken_port_says_so_and_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {port}"), running_stack(port=port, directory=tmp_path):
            pass
    assert not (tmp_path / "log").exists()
    assert stack_lock(tmp_path).acquire()


def test_a_second_stack_on_a_data_directory_is_refused(tmp_path: Path) -> None:
    lock = stack_lock(tmp_path)
    assert lock.acquire()
    with (
        pytest.raises(StackError, match=f"Process {os.getpid()} runs a stack"),
        running_stack(port=0, directory=tmp_path),
    ):
        pass
    lock.release()


def test_commands_see_the_settings_of_a_running_stack_and_none_of_a_dead_one(tmp_path: Path) -> None:
    stack_file(tmp_path).write_text(json.dumps({"environment": {"PUBLIC_BASE_URL": "http://127.0.0.1:9000"}}))
    assert stack_environment(tmp_path) == {}
    lock = stack_lock(tmp_path)
    assert lock.acquire()
    assert stack_environment(tmp_path) == {"PUBLIC_BASE_URL": "http://127.0.0.1:9000"}
    lock.release()


def _program(directory: Path, name: str, code: str, *arguments: str, seconds: float = 5.0) -> Program:
    return Program(
        name=name,
        argv=(sys.executable, "-c", code, *arguments),
        log=directory / f"{name}.log",
        stop_signals=((signal.SIGTERM, seconds),),
    )


def _number_in(path: Path) -> int:
    _await(lambda: path.read_text() != "")
    return int(path.read_text())


def _tend(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    def tended() -> bool:
        supervisor.tend()
        return condition()

    _await(tended)


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
