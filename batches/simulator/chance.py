"""The dice: what goes wrong at random, repeatable with a seed."""

import random
import threading


class Dice:
    """Rolled by many threads, one after the other.

    The same `seed` rolls the same numbers, in the order in which requests come. `turn` says where a simulator that was
    started again goes on: at each start anew, the first requests would always meet the same trouble.
    """

    def __init__(self, seed: int | None, *, turn: int = 0) -> None:
        self._random = random.Random(seed if seed is None else f"{seed}.{turn}")  # noqa: S311 (dice, not secrets)
        self._lock = threading.Lock()

    def hits(self, rate: float) -> bool:
        """Say yes at this rate, from 0 (never, and no roll) to 1 (always)."""
        return rate > 0 and self._roll() < rate

    def up_to(self, most: float) -> float:
        """Return a number from 0 to `most`."""
        return most * self._roll()

    def _roll(self) -> float:
        with self._lock:
            return self._random.random()
