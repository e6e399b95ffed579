"""Stream a stored file, whole or in part: browsers seek in a video with Range (RFC 9110, section 14)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from django.core.files.storage import default_storage
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.http.request import HttpHeaders

CHUNK_BYTES = 64 * 1024
RANGE = re.compile(r"bytes\s*=\s*(?:(\d{1,18})\s*-\s*(\d{1,18})?|-\s*(\d{1,18}))", re.ASCII | re.IGNORECASE)


class RangeNotSatisfiable(Exception):
    """The range asked for lies outside the file, which has `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"outside of {size} bytes")
        self.size = size


@dataclass(frozen=True)
class Interval:
    """Bytes `first` to `last`, both included, of a file of `size` bytes."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        """Return how many bytes these are."""
        return self.last - self.first + 1

    @property
    def partial(self) -> bool:
        """Say whether this is less than the whole file."""
        return self.length != self.size


def stream(
    *, name: str, content_type: str, headers: HttpHeaders, etag: str, filename: str, head: bool = False
) -> HttpResponseBase:
    """Answer with the stored file `name`: 200, 206 for a Range, or 304 when the asker has it already.

    `etag` is the file's own unquoted text, such as its SHA-256. `head` leaves the body out.
    Raises FileNotFoundError, and RangeNotSatisfiable, which is a 416 with `Content-Range: bytes */size`.
    """
    if headers.get("If-None-Match") == f'"{etag}"':
        return _described(HttpResponse(status=304), etag, filename)
    file = default_storage.open(name, "rb")
    try:
        interval = requested_interval(_range_that_holds(headers, etag), size=file.size)
        response = _response(file, interval, content_type, head=head)
    except BaseException:
        file.close()
        raise
    return _described(response, etag, filename)


def requested_interval(header: str, *, size: int) -> Interval:
    """Return what a `Range` header asks for. Several ranges, or what is no range, ask for the whole file.

    Raises RangeNotSatisfiable.
    """
    asked = RANGE.fullmatch(header.strip())
    if asked is None:
        return Interval(0, size - 1, size)
    first, last, final = asked.groups()
    if final is not None:
        start, end = max(0, size - int(final)), size - 1
    else:
        start, end = int(first), min(int(last or size), size - 1)
        if last is not None and int(last) < start:
            return Interval(0, size - 1, size)
    if start > end:
        raise RangeNotSatisfiable(size)
    return Interval(start, end, size)


def _range_that_holds(headers: HttpHeaders, etag: str) -> str:
    """The range, unless the asker holds parts of another version of the file."""
    condition = headers.get("If-Range")
    return headers.get("Range", "") if condition in (None, f'"{etag}"') else ""


def _response(file: IO[bytes], interval: Interval, content_type: str, *, head: bool) -> HttpResponseBase:
    status = 206 if interval.partial else 200
    response: HttpResponseBase
    if head:
        file.close()
        response = HttpResponse(status=status, content_type=content_type)
    else:
        response = StreamingHttpResponse(_Part(file, interval), status=status, content_type=content_type)
    response.headers["Content-Length"] = str(interval.length)
    if interval.partial:
        response.headers["Content-Range"] = f"bytes {interval.first}-{interval.last}/{interval.size}"
    return response


def _described(response: HttpResponseBase, etag: str, filename: str) -> HttpResponseBase:
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = f'"{etag}"'
    # A stored output never changes; only the one who asked may keep it.
    response.headers["Cache-Control"] = "private, max-age=86400, immutable"
    response.headers["Content-Disposition"] = f'inline; filename="{filename}"'
    return response


class _Part:
    """The bytes of one interval. Closing it closes the file, also when nobody ever read from it."""

    def __init__(self, file: IO[bytes], interval: Interval) -> None:
        self._file = file
        self._left = interval.length
        file.seek(interval.first)

    def __iter__(self) -> Iterator[bytes]:
        while self._left > 0 and (chunk := self._file.read(min(CHUNK_BYTES, self._left))):
            self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._file.close()
