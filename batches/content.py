"""Stream a stored file, whole or in part: browsers seek in a video with Range (RFC 9110, section 14)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.http.request import HttpHeaders

from batches.storage import Part, store

CHUNK_BYTES = 64 * 1024
RANGE = re.compile(r"bytes\s*=\s*(?:(\d{1,99})\s*-\s*(\d{1,99})?|-\s*(\d{1,99}))", re.ASCII | re.IGNORECASE)


class RangeNotSatisfiable(Exception):
    """The range asked for lies outside the file, which has `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"outside of {size} bytes")
        self.size = size


@dataclass(frozen=True)
class Interval:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Return how many bytes these are."""
        return self.last - self.first + 1


def stream(
    *, name: str, content_type: str, headers: HttpHeaders, etag: str, filename: str, head: bool = False
) -> HttpResponseBase:
    """Answer with the stored file `name`: 200, 206 for a Range, or 304 when the asker has it already.

    `etag` is the file's own unquoted text, such as its SHA-256. `head` leaves the body out.
    Raises FileNotFoundError, and RangeNotSatisfiable, which is a 416 with `Content-Range: bytes */size`.
    """
    if _has_it(headers.get("If-None-Match", ""), etag):
        return _described(HttpResponse(status=304), etag, filename)
    size = store().size(name)
    asked = "" if head else _range_that_holds(headers, etag)  # A Range is for GET (RFC 9110, 14.2).
    interval = requested_interval(asked, size=size)
    response = HttpResponse() if head else _part(name, interval or Interval(0, size - 1))
    _measured(response, interval, size)
    response.headers["Content-Type"] = content_type
    return _described(response, etag, filename)


def _has_it(condition: str, etag: str) -> bool:
    """Compare weakly, as If-None-Match does (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return condition.strip() == "*" or f'"{etag}"' in tags


def requested_interval(header: str, *, size: int) -> Interval | None:
    """Return what a `Range` header asks for: None, the whole file, for several ranges or what is no range.

    Raises RangeNotSatisfiable.
    """
    asked = RANGE.fullmatch(header.strip())
    if asked is None:
        return None
    first, last, final = asked.groups()
    if final is not None:
        interval = Interval(max(0, size - int(final)), size - 1)
    elif last is not None and int(last) < int(first):
        return None
    else:
        interval = Interval(int(first), min(int(last or size), size - 1))
    if interval.length < 1:
        raise RangeNotSatisfiable(size)
    return interval


def _range_that_holds(headers: HttpHeaders, etag: str) -> str:
    """The range, unless the asker holds parts of another version of the file."""
    condition = headers.get("If-Range")
    return headers.get("Range", "") if condition in (None, f'"{etag}"') else ""


def _part(name: str, interval: Interval) -> HttpResponseBase:
    """Only these bytes are asked of the storage, and they are read when they are sent."""
    return StreamingHttpResponse(_Chunks(store().part(name, first=interval.first, length=interval.length), interval))


def _measured(response: HttpResponseBase, asked: Interval | None, size: int) -> None:
    response.headers["Content-Length"] = str(asked.length if asked else size)
    if asked is not None:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {asked.first}-{asked.last}/{size}"


def _described(response: HttpResponseBase, etag: str, filename: str) -> HttpResponseBase:
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = f'"{etag}"'
    # A stored output never changes; only the one who asked may keep it.
    response.headers["Cache-Control"] = "private, max-age=86400, immutable"
    response.headers["Content-Disposition"] = f'inline; filename="{filename}"'
    return response


class _Chunks:
    """The bytes of one interval. Closing it closes the part, also when nobody ever read from it."""

    def __init__(self, part: Part, interval: Interval) -> None:
        self._part = part
        self._left = interval.length

    def __iter__(self) -> Iterator[bytes]:
        while self._left > 0 and (chunk := self._part.read(min(CHUNK_BYTES, self._left))):
            self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._part.close()
