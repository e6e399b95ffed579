"""How fast batches are executed, each figure against its baseline in the same run.

a. Items a second from post to final, with a provider that is done at once: beside Celery tasks that do nothing, and
   beside the naive design, a task per item in a chord (benchmarks/execution_contenders/naive.py says how fair it is).
b. The time of a batch with a provider that takes two seconds, against the least that the limit in flight allows.
c. The time from the provider's end of a batch's last item to the end of the batch, against the pause between two polls
   of a job of that age: with a provider that doesn't say when to look again, and with one that knows when a job ends
   and says so where it is asked about one job. Up to three jobs are asked for one by one; more are read off its list.
d. The time of a small batch while another customer's big one runs, against its time alone: where the provider takes a
   second for each clip of the big one, and where it is done at once, so that collecting them is what takes time.

For each a whole system runs in a temporary directory, on durable embedded servers, with one clip for all items.
Contenders work in turns; worker and beat of ours are stopped while others work. A figure is the median of the turns,
with the least and the most of them; a ratio is that of the turns' own ratios, so that what disturbs the machine for a
while disturbs both. On two processors that are free all of it takes about ten minutes.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from batches.execution import pace
from benchmarks.execution_contenders.naive import Naive, naive
from benchmarks.execution_contenders.ours import Site, site

# What each turn brought, by name.
Figures = dict[str, list[float]]

NOTHING, NAIVE, LOOKING, OURS = "no-op Celery tasks", "naive", "naive, looking into each file", "ours"
ALONE, BESIDE = "alone", "beside the big one"
WARM_UP_ITEMS = 20
SLOW_SECONDS = 2.0
# Each process of the naive design does so many items of the slow provider.
NAIVE_ROUNDS = 3
# How long a batch's clips take, where it is measured how soon their end is noticed.
CLIP_SECONDS = (0.5, 5.0)
# Polled one by one, and off the list.
FEW, MANY = 3, 10
AIM_SECONDS = 0.1
SMALL_ITEMS, SMALL_CLIP_SECONDS, SMALL_BATCHES = 10, 1.0, 2


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Through all that stops what runs.
    machine = f"{os.cpu_count()} processors, with a load of {os.getloadavg()[0]:.1f} before the start"
    measures = {"a": throughput, "b": slow_provider, "c": endings, "d": fairness}
    figures = {name: measures[name](options) for name in options.only}
    print(f"\n{machine}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def throughput(options: argparse.Namespace) -> Figures:
    """Measure and print a."""
    items, figures = options.items, defaultdict[str, list[float]](list)
    with _site(options) as running, _naive(running, options) as other:
        contenders: Mapping[str, Callable[[], float]] = {
            NOTHING: lambda: other.nothings_per_second(items),
            NAIVE: lambda: other.items_per_second(running.prompts(items, seconds=0), look=False),
            LOOKING: lambda: other.items_per_second(running.prompts(items, seconds=0), look=True),
            OURS: lambda: _ours_per_second(running, items, figures),
        }
        for turn in range(options.turns):
            # Back and forth, so that nobody always comes after the same one.
            for name in list(contenders)[:: -1 if turn % 2 else 1]:
                with contextlib.nullcontext() if name == OURS else running.at_rest():
                    figures[name].append(contenders[name]())
    _title(f"a. {items} items, with {options.workers} worker processes, a second:")
    for name in contenders:
        _print(name, figures[name])
    for name in (NOTHING, NAIVE, LOOKING):
        _print_ratio(f"ours ÷ {name}", figures[OURS], figures[name])
    _title("   ours, milliseconds of a processor for an item:")
    for name in sorted(figures.keys() - contenders.keys()):
        _print(name, figures[name])
    return figures


def slow_provider(options: argparse.Namespace) -> Figures:
    """Measure and print b."""
    items, figures = options.slow_items, defaultdict[str, list[float]](list)
    ideal = -(-items // options.in_flight) * SLOW_SECONDS
    with _site(options) as running, _naive(running, options) as other:
        key = running.customer()
        few = NAIVE_ROUNDS * options.workers
        for _ in range(options.turns):
            running.run(key, running.prompts(WARM_UP_ITEMS, seconds=0))
            figures[OURS].append(running.run(key, running.prompts(items, seconds=SLOW_SECONDS)).seconds)
            with running.at_rest():
                rate = other.items_per_second(running.prompts(few, seconds=SLOW_SECONDS), look=False)
            figures[NAIVE].append(items / rate)
    _title(f"b. {items} items of {SLOW_SECONDS:g} s, {options.in_flight} in flight, seconds:")
    _print(OURS, figures[OURS])
    _print_ratio(f"ours ÷ the least, {ideal:g} s", figures[OURS], [ideal] * options.turns)
    _print(f"naive, by its pace over {few} items", figures[NAIVE])
    _print_ratio("ours ÷ naive", figures[OURS], figures[NAIVE])
    return figures


def endings(options: argparse.Namespace) -> Figures:
    """Measure and print c."""
    figures, aims = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    dice = random.Random(options.seed)  # noqa: S311 - no secret.
    for hints, provider in ((False, "no hints"), (True, "hints")):
        with _site(options, hints=hints) as running:
            key = running.customer()
            for _, size in itertools.product(range(options.batches), (FEW, MANY)):
                clip_seconds = round(dice.uniform(*CLIP_SECONDS), 2)
                prompts = running.prompts(size, seconds=clip_seconds)
                ended, name = running.run(key, prompts), f"{size} items, {provider}"
                figures[name].append(ended.finished_at - running.provider_done_at(prompts))
                pause = max(pace.LEAST_SECONDS, pace.SHARE_OF_AGE * clip_seconds)
                aims[name].append(min(pause, options.poll_seconds) + AIM_SECONDS)
    _title(f"c. {options.batches} batches, seconds from the provider's end to ours:")
    for name, seconds in figures.items():
        _print(name, seconds)
        _print_ratio(f"÷ the pause between polls and {AIM_SECONDS:g} s", seconds, aims[name])
    return figures


def fairness(options: argparse.Namespace) -> Figures:
    """Measure and print d."""
    figures = defaultdict[str, list[float]](list)
    with _site(options) as running:
        small = running.customer()
        for _, clip_seconds in itertools.product(range(options.turns), options.big_seconds):
            figures[f"{ALONE}, {clip_seconds:g}"].append(_small_batch_seconds(running, small))
            big = running.customer()
            batch_id, posted_at = running.post(big, running.prompts(options.big_items, seconds=clip_seconds))
            running.wait_for_items(batch_id, options.big_items // 5)
            figures[f"{BESIDE}, {clip_seconds:g}"].append(_small_batch_seconds(running, small))
            running.cancel(big, batch_id)
            running.end(batch_id, posted_at)
    for clip_seconds in options.big_seconds:
        alone, beside = (figures[f"{name}, {clip_seconds:g}"] for name in (ALONE, BESIDE))
        _title(f"d. {SMALL_ITEMS} items, beside {options.big_items} of {clip_seconds:g} s, seconds:")
        _print(ALONE, alone)
        _print(BESIDE, beside)
        _print_ratio(f"{BESIDE} ÷ {ALONE}", beside, alone)
    return figures


def _site(options: argparse.Namespace, *, hints: bool = True) -> contextlib.AbstractContextManager[Site]:
    return site(workers=options.workers, in_flight=options.in_flight, poll_seconds=options.poll_seconds, hints=hints)


def _ours_per_second(running: Site, items: int, figures: Figures) -> float:
    """Run a batch; note too what it took of the processors, by program."""
    key = running.customer()
    running.run(key, running.prompts(WARM_UP_ITEMS, seconds=0))
    before = running.processor_seconds()
    rate = items / running.run(key, running.prompts(items, seconds=0)).seconds
    for name, seconds in running.processor_seconds().items():
        figures[name].append(1000 * (seconds - before[name]) / items)
    return rate


def _small_batch_seconds(running: Site, key: str) -> float:
    """Return the median time of some small batches, one after the other."""
    runs = [running.run(key, running.prompts(SMALL_ITEMS, seconds=SMALL_CLIP_SECONDS)) for _ in range(SMALL_BATCHES)]
    return statistics.median(run.seconds for run in runs)


def _naive(running: Site, options: argparse.Namespace) -> contextlib.AbstractContextManager[Naive]:
    return naive(running.environment, workers=options.workers, log=running.log("naive"))


def _title(text: str) -> None:
    print(f"\n{text:<64}{'median':>8}{'least':>8}{'most':>8}")


def _print(name: str, values: Sequence[float]) -> None:
    figures = (statistics.median(values), min(values), max(values))
    print(f"{name:<64}" + "".join(f"{figure:>8.{0 if figure > 100 else 2}f}" for figure in figures), flush=True)


def _print_ratio(name: str, mine: Sequence[float], others: Sequence[float]) -> None:
    _print(f"    {name}", [one / other for one, other in zip(mine, others, strict=True)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices="abcd", default="abcd", help="which figures")
    parser.add_argument("--turns", type=int, default=3, help="of a, b and d")
    parser.add_argument("--items", type=int, default=500, help="of a's batches")
    parser.add_argument("--slow-items", type=int, default=500, help="of b's batches")
    parser.add_argument("--batches", type=int, default=20, help="of each size in c")
    parser.add_argument("--big-items", type=int, default=5000, help="of d's big batch")
    parser.add_argument("--big-seconds", type=float, nargs="+", default=[1.0, 0.0], help="the provider takes for each")
    parser.add_argument("--workers", type=int, default=6, help="processes, of each design")
    parser.add_argument("--in-flight", type=int, default=100, help="items that the provider has at once, at most")
    parser.add_argument("--poll-seconds", type=float, default=2.0, help="between two polls at most, where nobody hints")
    parser.add_argument("--seed", type=int, default=1, help="of how long c's clips take")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every turn's figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
