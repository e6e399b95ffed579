"""A video and its poster in the storage: their names, writing, reading, addresses that need no key, deleting."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core import signing

from batches.models import Output
from batches.storage import store

ROOT = "outputs"


class LinkInvalid(Exception):
    """The token is not ours, for another item, or too old."""


@dataclass(frozen=True)
class Link:
    """An address that gives whoever has it one video, until it expires. Empty: the storage has no addresses."""

    url: str
    expires_at: datetime


def folder_of(batch_id: str) -> str:
    """Return the folder of a batch's files."""
    return f"{ROOT}/{batch_id}"


def keep(path: Path, *, batch_id: str, attempt_id: str, lease: uuid.UUID) -> str:
    """Store a file of an attempt and return its name.

    Each claim has names of its own, by its lease: a worker that was thought to be dead, and fetches the same video
    again, neither overwrites the one that counts nor is in its way.
    """
    return store().keep(f"{folder_of(batch_id)}/{attempt_id}-{lease.hex}{path.suffix}", path)


def link(output: Output, *, now: datetime) -> Link:
    """Return an address of the storage for a video, good for OUTPUT_URL_SECONDS."""
    seconds = settings.OUTPUT_URL_SECONDS
    url = store().signed_url(
        output.video, seconds=seconds, content_type=output.content_type, filename=filename_of(output)
    )
    return Link(url or "", now.replace(microsecond=0) + timedelta(seconds=seconds))


def filename_of(output: Output) -> str:
    """Return what a video is called when it is saved."""
    return f"{output.item_id}.mp4"


def token_of(output: Output) -> str:
    """Return a text that gives whoever has it this one video, for OUTPUT_URL_SECONDS."""
    return _signer().sign(output.item_id).removeprefix(f"{output.item_id}:")


def check_token(*, item_id: str, token: str) -> None:
    """Check that a token is for this item and still good. Raises LinkInvalid."""
    try:
        _signer().unsign(f"{item_id}:{token}", max_age=settings.OUTPUT_URL_SECONDS)
    except signing.BadSignature as error:
        raise LinkInvalid from error


def delete(names: Iterable[str]) -> None:
    """Delete files; those that are gone are no error. Raises whatever the storage does."""
    for name in names:
        if name:
            store().delete(name)


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt="batches.outputs")
