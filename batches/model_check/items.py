"""The model of an item: how far it is, who holds it, and what a worker's word makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from batches.failures import POLICIES, FailureType
from batches.model_check.plan import Word

# How a claimed item is known to who claimed it: lease, stage, batch, index.
Key = tuple[int, str, str, int]

# What a worker's word means, by what the item was claimed for.
FAILURES: Mapping[tuple[str, Word], FailureType] = {
    ("submit", Word.BAD): FailureType.CONTENT_REFUSED,
    ("submit", Word.AGAIN): FailureType.CAPACITY,
    ("poll", Word.BAD): FailureType.CONTENT_REFUSED,
    ("poll", Word.AGAIN): FailureType.PROVIDER_ERROR,
    ("collect", Word.BAD): FailureType.PROVIDER_ERROR,
    ("collect", Word.AGAIN): FailureType.OUTPUT_INVALID,
}
NEXT_STAGE = {"submit": "poll", "poll": "collect"}


@dataclass(frozen=True)
class Known:
    """What is known of a submit: that the provider has a job for it, or that and why it refused one."""

    has_job: bool = False
    refused: FailureType | None = None


@dataclass(frozen=True)
class Item:
    """An item: its price, how far it is, whose lease it is under, and what is known of its latest submit."""

    price: int
    status: str = "pending"
    stage: str | None = "submit"
    lease: int | None = None
    attempts: int = 0
    failures: tuple[FailureType, ...] = ()
    known: Known = Known()

    def claimed(self, stage: str, lease: int) -> Self:
        """Return the item held. Claiming it to submit it is an attempt, whose job is to be looked up."""
        if stage != "submit":
            return replace(self, lease=lease)
        attempts = self.attempts + 1
        return replace(self, status="running", stage="lookup", lease=lease, attempts=attempts, known=Known())

    def due_for(self, stage: str) -> Self:
        """Return the item waiting for `stage`, held by nobody."""
        return replace(self, stage=stage, lease=None)

    def ended(self, status: str) -> Self:
        """Return the item ended: succeeded or failed."""
        return replace(self, status=status, stage=None, lease=None)

    def failed_or_again(self, failure: FailureType) -> Self:
        """Return the item waiting for another submit, if there may be one after this failure, else ended."""
        failures = (*self.failures, failure)
        is_last = failures.count(failure) >= POLICIES[failure].attempts
        return replace(self.ended("failed") if is_last else self.due_for("submit"), failures=failures)


@dataclass(frozen=True)
class Handle:
    """What a worker claimed: an item of a batch, for a stage, and the item as it was then."""

    batch: str
    index: int
    stage: str
    item: Item


def reported(item: Item, handle: Handle, word: Word) -> Item:
    """Return the item after a worker's word. What is learned of a submit counts always; only the holder moves it."""
    item = _learned(item, handle, word)
    is_holder = item.status == "running" and item.lease == handle.item.lease
    return _moved(item, handle, word) if is_holder else item


def _learned(item: Item, handle: Handle, word: Word) -> Item:
    """Return the item with what was learned of its latest submit."""
    known = item.known
    if handle.item.attempts != item.attempts or known.has_job:
        return item  # About an earlier submit, or of a job that was found meanwhile.
    if handle.stage == "submit" and word in (Word.BAD, Word.AGAIN):
        return replace(item, known=replace(known, refused=known.refused or FAILURES["submit", word]))
    if _is_found(handle, word) or (handle.stage == "submit" and word == Word.GOOD):
        return replace(item, known=replace(known, has_job=True))
    return item


def _moved(item: Item, handle: Handle, word: Word) -> Item:
    """Return the item where its holder's word takes it."""
    failure = FAILURES.get((handle.stage, word))
    if handle.stage == "lookup":
        return _looked_up(item, handle, word)
    if failure is not None:
        return item.ended("failed") if word == Word.BAD else item.failed_or_again(failure)
    if word == Word.GOOD:
        return item.ended("succeeded") if handle.stage == "collect" else item.due_for(NEXT_STAGE[handle.stage])
    if handle.stage == "collect":
        return item  # A download that goes on is not reported.
    return item.due_for("lookup" if handle.stage == "submit" else handle.stage)


def _looked_up(item: Item, handle: Handle, word: Word) -> Item:
    known = handle.item.known
    if known.has_job or _is_found(handle, word):
        return item.due_for("poll")
    if known.refused is not None:
        return item.failed_or_again(known.refused)
    return item.due_for("lookup")


def _is_found(handle: Handle, word: Word) -> bool:
    """Say whether a job was looked for, and found."""
    return handle.stage == "lookup" and handle.item.known == Known() and word == Word.GOOD
