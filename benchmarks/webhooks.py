"""How fast webhooks are delivered, each figure against its baseline in the same run.

a. Deliveries a second to a receiver that answers at once, of events that are due together, to one endpoint and spread
   over several: beside PyPI's django-webhook with as many worker processes, and beside a bare loop of requests in one
   process. Ours is the real worker, from the release to the last outcome on record; a quarter of its processes, at
   least one, may deliver at once. The others end with the last event's arrival.
b. The delay of messages to one endpoint, from their publishing to their arrival, while others hang until their 20
   seconds are over and have messages waiting; against the same while nobody hangs.

All of it runs on durable embedded servers in a temporary directory. Events are written, or their tasks sent, before the
clock starts; contenders work in turns, and are stopped in their tracks while others do. A figure is the median of the
turns, with the least and the most of them; a ratio is that of the turns' own ratios, so that what disturbs the machine
for a while disturbs both. On two processors that are free all of it takes about a quarter of an hour.
"""

import argparse
import functools
import json
import math
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.database import own_database
from benchmarks.webhooks_contenders.hanging import delays
from benchmarks.webhooks_contenders.loop import loop
from benchmarks.webhooks_contenders.ours import forget_deliveries, ours
from benchmarks.webhooks_contenders.receiver import Receiver, receiving
from benchmarks.webhooks_contenders.theirs import Installed
from benchmarks.webhooks_contenders.workers import Run

# What each turn brought, by name.
Figures = dict[str, list[float]]
Runs = Mapping[str, Sequence[Run]]

OURS, THEIRS, LOOP = "ours", "django-webhook", "a bare loop of requests"
AIM = 5
RECEIVER = "the receiver"


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Through all that stops what runs.
    machine = f"{os.cpu_count()} processors, with a load of {os.getloadavg()[0]:.1f} before the start"
    os.environ["WEBHOOK_DEV_ALLOWED_TARGETS"] = "http://127.0.0.1:*"
    measures = {"a": throughput, "b": hanging}
    with own_database(), receiving() as receiver, tempfile.TemporaryDirectory(prefix="sora2-bench-webhooks-") as folder:
        figures = {name: measures[name](options, receiver, Path(folder)) for name in options.only}
    print(f"\n{machine}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def throughput(options: argparse.Namespace, receiver: Receiver, folder: Path) -> Figures:
    """Measure and print a."""
    figures: Figures = {}
    installed, events = Installed(folder, receiver, max(options.endpoints)), options.events
    for processes in options.processes:
        with ours(processes, receiver, folder) as mine, installed.running(processes) as other:
            for endpoints in options.endpoints:
                contenders: Mapping[str, Callable[[], Run]] = {
                    OURS: functools.partial(mine.run, events, endpoints),
                    THEIRS: functools.partial(other.run, events, endpoints),
                    LOOP: functools.partial(loop, events, receiver),
                }
                runs = _in_turns(contenders, options.rounds)
                what = f"{events} events, {endpoints} endpoints, {processes} processes"
                _print_rates(what, runs, events)
                _print_costs(runs, events)
                figures |= {f"{what}: {name}": [events / run.seconds for run in runs[name]] for name in runs}
    return figures


def hanging(options: argparse.Namespace, receiver: Receiver, folder: Path) -> Figures:
    """Measure and print b."""
    messages = math.ceil(options.seconds / options.every)
    found: dict[int, list[list[float]]] = {endpoints: [] for endpoints in (0, *options.hanging)}
    for turn in range(options.rounds):
        for endpoints in list(found)[:: -1 if turn % 2 else 1]:
            # A worker of its own each time, so that nobody inherits what hung before.
            with ours(options.hanging_processes, receiver, folder) as running:
                seconds = delays(
                    running,
                    endpoints=endpoints,
                    waiting=options.waiting,
                    messages=messages,
                    every_seconds=options.every,
                )
            found[endpoints].append(sorted(seconds))
            forget_deliveries()
    return _print_delays(found, options)


def _in_turns(contenders: Mapping[str, Callable[[], Run]], turns: int) -> Runs:
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for turn in range(turns):
        # Back and forth, so that nobody always comes after the same one.
        for name in list(contenders)[:: -1 if turn % 2 else 1]:
            runs[name].append(contenders[name]())
    return runs


def _print_rates(what: str, runs: Runs, events: int) -> None:
    rates = {name: [events / run.seconds for run in runs[name]] for name in runs}
    _title(f"a. {what}, a second:")
    for name, rate in rates.items():
        _line(name, rate)
    _line(f"    {OURS} ÷ {THEIRS} (aim: {AIM})", _ratios(rates[OURS], rates[THEIRS]))
    _line(f"    {OURS} ÷ {LOOP}", _ratios(rates[OURS], rates[LOOP]))


def _print_costs(runs: Runs, events: int) -> None:
    """Print what a delivery takes of the processors, which other load on the machine disturbs less."""
    _title("   milliseconds of a processor for a delivery:")
    totals = {}
    for name, found in runs.items():
        for part in found[0].spent:
            _line(f"{name}: {part}", [1000 * run.spent[part] / events for run in found])
        totals[name] = [sum(spent for part, spent in run.spent.items() if part != RECEIVER) for run in found]
    _line(f"    {THEIRS} ÷ {OURS}, without the receiver", _ratios(totals[THEIRS], totals[OURS]))


def _print_delays(found: Mapping[int, Sequence[Sequence[float]]], options: argparse.Namespace) -> Figures:
    """Print the quantiles of the turns' delays, and those of each against those while nobody hangs."""
    figures: Figures = {}
    _title(f"b. a message each {1000 * options.every:g} ms, {options.hanging_processes} processes, milliseconds:")
    for name, share in (("half within", 0.5), ("99 of 100 within", 0.99), ("all within", 1.0)):
        for endpoints, turns in found.items():
            at = f"{endpoints or 'none'} hang{'s' * (endpoints < 2)}: {name}"
            figures[at] = [1000 * seconds[math.ceil(share * len(seconds)) - 1] for seconds in turns]
            _line(at, figures[at])
            if endpoints:
                _line("    ÷ none hangs", _ratios(figures[at], figures[f"none hangs: {name}"]))
    return figures


def _ratios(mine: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(mine, others, strict=True)]


def _title(text: str) -> None:
    print(f"\n{text:<64}" + "".join(f"{column:>9}" for column in ("median", "least", "most")))


def _line(name: str, values: Sequence[float]) -> None:
    columns = (statistics.median(values), min(values), max(values))
    print(f"{name:<64}" + "".join(f"{value:>9.{0 if value > 100 else 2}f}" for value in columns), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices="ab", default="ab", help="which figures")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender")
    parser.add_argument("--events", type=int, default=2000, help="of a")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 8], help="worker processes, in a")
    parser.add_argument("--endpoints", type=int, nargs="+", default=[1, 16], help="that a's events are spread over")
    parser.add_argument("--hanging", type=int, nargs="+", default=[1, 30], help="endpoints that hang, in b")
    parser.add_argument("--hanging-processes", type=int, default=6, help="worker processes, in b")
    parser.add_argument("--waiting", type=int, default=50, help="messages for each endpoint that hangs")
    parser.add_argument("--seconds", type=float, default=5.0, help="of publishing, in b")
    parser.add_argument("--every", type=float, default=0.05, metavar="SECONDS", help="between two messages, in b")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every turn's figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
