"""Run the video provider simulator until SIGTERM or Ctrl-C."""

import signal
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError

from batches.simulator.provider import Options
from batches.simulator.server import SimulatorServer

# What can go wrong at random: the option's name, and the share of what it is.
RATES = {
    "failure_rate": "jobs that fail",
    "refusal_rate": "jobs that end refused for their content",
    "hang_rate": "jobs that never end",
    "corrupt_rate": "jobs whose file does not play",
    "rate_limit_rate": "submits answered 429",
    "error_rate": "requests answered 500",
    "reset_rate": "requests whose connection is reset, half of them once they are done",
    "slow_rate": "answers whose body drips",
    "truncate_rate": "downloads that break off",
}


class Command(BaseCommand):
    """Serves the OpenAI Videos format on a port of its own; needs neither database nor broker."""

    help = "Run a simulated video provider that speaks the OpenAI Videos format."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8199, help="port to listen on (8199; 0 takes a free one)")
        parser.add_argument("--latency", type=_seconds, default=0.3, help="seconds that a clip takes (0.3)")
        for name, of in RATES.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=_rate, help=f"share of {of}, 0 to 1 (as --chaos)")
        parser.add_argument("--chaos", type=_rate, default=0.0, help="every rate that is not given itself, 0 to 1 (0)")
        parser.add_argument("--slow-seconds", type=_seconds, default=5.0, help="most that a body drips for (5)")
        parser.add_argument("--seed", type=int, help="makes what happens at random repeatable")
        parser.add_argument("--same-clip", action="store_true", help="make one clip for each length and size")
        parser.add_argument("--no-hints", action="store_true", help="don't say when to look again")
        parser.add_argument("--api-key", default="", help="the only key that is accepted (any)")
        parser.add_argument("--state", type=Path, help="SQLite file that keeps the jobs over a restart")

    def handle(self, *args: Any, **options: Any) -> None:
        rates = {name: options["chaos"] if options[name] is None else options[name] for name in RATES}
        behaviour = Options(
            latency_seconds=options["latency"],
            slow_seconds=options["slow_seconds"],
            seed=options["seed"],
            same_clip=options["same_clip"],
            hints=not options["no_hints"],
            api_key=options["api_key"],
            **rates,
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
