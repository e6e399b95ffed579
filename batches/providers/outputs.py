"""Finished videos: from the provider's own host with the key, from any other host without it and under guard.

A provider hands out addresses, and answers redirects, that lead to storage elsewhere. Such an address is somebody
else's word: it is called only as `webhooks.guarded` calls customers' addresses, each hop anew. Once a chain has
left the provider's host, the key stays out of it for good.
"""

import time
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urldefrag, urljoin

import requests

from batches.providers import DownloadFailed, TooLarge
from batches.providers.transport import NETWORK_TROUBLE, Transport, chunks, reason
from webhooks import guarded

MAX_HOPS = 5
REDIRECTS = {301, 302, 303, 307, 308}
# The file will never be smaller. A 404 is not among them: right after the end a file may not be everywhere yet.
USELESS_STATUSES = {413}


def download(http: Transport, url: str, target: Path, *, max_bytes: int) -> None:
    """Stream what `url` leads to into the file `target`, in the transport's time for downloads.

    Raises DownloadFailed, and then leaves no file.
    """
    try:
        with target.open("wb") as file:
            _follow(http, url, file, max_bytes)
    except NETWORK_TROUBLE as error:
        target.unlink(missing_ok=True)
        raise DownloadFailed(reason(error)) from None
    except DownloadFailed:
        target.unlink(missing_ok=True)
        raise


def _follow(http: Transport, url: str, file: BinaryIO, max_bytes: int) -> None:
    ends_at = time.monotonic() + http.timeouts.connect + http.timeouts.download
    trusted = True
    for _ in range(MAX_HOPS):
        trusted = trusted and http.owns(url)
        hop = _Hop(file, max_bytes)
        seconds = max(0.0, ends_at - time.monotonic())
        if trusted:
            http.stream(url, read=hop.read, seconds=seconds)
        else:
            _call_stranger(url, hop, seconds)
        if hop.location is None:
            return
        url = urldefrag(urljoin(url, http.redacted(hop.location))).url
    raise DownloadFailed(f"more than {MAX_HOPS} redirects", permanent=True)


def _call_stranger(url: str, hop: "_Hop", seconds: float) -> None:
    error = guarded.get(url, read=hop.read, deadline_seconds=seconds).error
    if error:
        raise DownloadFailed(f"another host: {error}", permanent=error == "forbidden_target")


class _Hop:
    """Takes one answer: a file is written, a redirect's `location` kept, all else refused."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self.location: str | None = None

    def read(self, response: requests.Response) -> None:
        """Write the body of a 200. Raises DownloadFailed."""
        self.location = response.headers.get("Location") if response.status_code in REDIRECTS else None
        if self.location is not None:
            return
        _require_content(response, self._max_bytes)
        for chunk in chunks(response, self._max_bytes):
            self._file.write(chunk)


def _require_content(response: requests.Response, max_bytes: int) -> None:
    status = response.status_code
    if status != 200:
        raise DownloadFailed(f"status {status}", permanent=status in USELESS_STATUSES or 300 <= status < 400)
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise TooLarge(f"{announced} bytes are more than {max_bytes}")
