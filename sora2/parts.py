"""The parts of a running system as programs, and how to see that they are ready."""

import http.client
import shlex
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from sora2.brokers import broker_url
from sora2.processes import Program

PROJECT_DIR = Path(__file__).resolve().parent.parent
PROBE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Builds the programs of one system: all with the same environment, logging into the same directory.

    The seconds that they are given to stop, together with those of the servers, stay under 30.
    """

    directory: Path
    environment: Mapping[str, str]
    port: int

    def migrate(self) -> Program:
        """Bring the database up to date; it ends by itself."""
        return self._program("migrate", "manage.py", "migrate", "--noinput", "--verbosity", "1", seconds=3.0)

    def simulator(self, port: int) -> Program:
        """The provider simulator on a port of 127.0.0.1, with the options that SIMULATOR_OPTIONS adds."""
        # Like a real provider, it forgets no job when it is restarted.
        state = str(self.directory / "simulator.sqlite")
        options = ("--port", str(port), "--state", state, *shlex.split(self.environment.get("SIMULATOR_OPTIONS", "")))
        return self._program("simulator", "manage.py", "simulate_provider", *options, seconds=2.0)

    def worker(self, processes: int) -> Program:
        """One Celery worker with so many processes. Its tasks may be interrupted at any time without harm."""
        options = (
            "--concurrency",
            str(processes),
            "--pool",
            "prefork",
            "-l",
            "WARNING",
            "--hostname",
            self.worker_name,
        )
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        worker = self._program("worker", "-m", "celery", "-A", "sora2", "worker", *options, *quiet, seconds=8.0)
        return replace(worker, environment={**self.environment, "WORKER_PROCESSES": str(processes)})

    def beat(self) -> Program:
        """Celery's clock. Without a pid file: a stale one after a crash would keep it from starting."""
        options = ("--schedule", str(self.directory / "beat-schedule"), "--pidfile", "", "-l", "WARNING")
        return self._program("beat", "-m", "celery", "-A", "sora2", "beat", *options, seconds=2.0)

    def web(self, listener: socket.socket) -> Program:
        """gunicorn on our listening socket, so that the port stays ours while gunicorn is started again."""
        size = ("--worker-class", "gthread", "--workers", "2", "--threads", "8", "--preload")
        # Connections are kept far longer than the pause that a polling client is told: one that is closed at the moment
        # in which the next request is sent looks like a reset to the client.
        keep = ("--keep-alive", "75")
        options = ("--bind", f"fd://{listener.fileno()}", "--graceful-timeout", "5", "--no-control-socket", *keep)
        web = ("-m", "gunicorn", "sora2.wsgi", *size, *options, "--log-level", "warning")
        return self._program("web", *web, seconds=7.0, inherit=(listener.fileno(),))

    @property
    def worker_name(self) -> str:
        """The worker's name among all workers of its broker."""
        return f"stack-{self.port}@{socket.gethostname()}"

    def web_ready(self) -> bool:
        """Say whether `/readyz` answers 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", "/readyz", headers={"Host": self._public_host})
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def worker_ready(self) -> bool:
        """Say whether the worker answers a ping through the broker."""
        probe = Celery(broker=broker_url(self.environment["REDIS_URL"]), set_as_current=False)
        probe.conf.broker_transport_options = {"max_retries": 0, "socket_connect_timeout": 1}
        try:
            return bool(probe.control.ping(timeout=PROBE_SECONDS, destination=[self.worker_name], limit=1))
        except (OperationalError, redis.RedisError, OSError):
            return False
        finally:
            probe.close()

    @property
    def _public_host(self) -> str:
        """A Host that the web server must accept, where 127.0.0.1 may not be allowed."""
        return urlsplit(self.environment.get("PUBLIC_BASE_URL", "")).netloc or f"127.0.0.1:{self.port}"

    def _program(self, name: str, *arguments: str, seconds: float, inherit: tuple[int, ...] = ()) -> Program:
        return Program(
            name=name,
            argv=(sys.executable, *arguments),
            log=self.directory / "log" / f"{name}.log",
            environment=self.environment,
            directory=PROJECT_DIR,
            inherit=inherit,
            stop_signals=((signal.SIGTERM, seconds),),
        )
