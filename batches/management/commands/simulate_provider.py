"""Run the video provider simulator until SIGTERM or Ctrl-C."""

import signal
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError

from batches.simulator.provider import Options
from batches.simulator.server import SimulatorServer


class Command(BaseCommand):
    """Serves the OpenAI Videos format on a port of its own; needs neither database nor broker."""

    help = "Run a simulated video provider that speaks the OpenAI Videos format."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8199, help="port to listen on (8199; 0 takes a free one)")
        parser.add_argument("--latency", type=_seconds, default=0.3, help="seconds that a clip takes (0.3)")
        parser.add_argument("--failure-rate", type=_rate, default=0.0, help="share of jobs that fail, 0 to 1")
        parser.add_argument("--error-rate", type=_rate, default=0.0, help="share of requests answered 500, 0 to 1")
        parser.add_argument("--rate-limit-rate", type=_rate, default=0.0, help="share of submits answered 429, 0 to 1")
        parser.add_argument("--seed", type=int, help="makes the random failures repeatable")
        parser.add_argument("--api-key", default="", help="the only key that is accepted (any)")
        parser.add_argument("--state", type=Path, help="SQLite file that keeps the jobs over a restart")

    def handle(self, *args: Any, **options: Any) -> None:
        behaviour = Options(
            latency_seconds=options["latency"],
            failure_rate=options["failure_rate"],
            error_rate=options["error_rate"],
            rate_limit_rate=options["rate_limit_rate"],
            seed=options["seed"],
            api_key=options["api_key"],
        )
        try:
            server = SimulatorServer(options["host"], options["port"], behaviour, state=options["state"])
        except OSError as error:
            raise CommandError(f"Cannot listen on {options['host']}:{options['port']}: {error.strerror}") from error
        signal.signal(signal.SIGTERM, _stop)
        with server:
            self.stdout.write(f"ready {server.base_url}")
            self.stdout.flush()
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                return


def _stop(*_signal: object) -> NoReturn:
    raise SystemExit(0)


def _rate(text: str) -> float:
    return _within(text, 1.0)


def _seconds(text: str) -> float:
    return _within(text, 86_400.0)


def _within(text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise ArgumentTypeError(f"must be a number from 0 to {most:g}")
    return value
