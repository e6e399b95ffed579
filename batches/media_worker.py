"""The child process that opens videos: started by batches.media, never imported by it.

It reads one JSON object a line from stdin and writes one a line to stdout. What it opens is untrusted and
goes through a C library, so it has no secrets, no files to write, little memory and little time.
"""

import base64
import io
import json
import os
import resource
import signal
import sys
from fractions import Fraction
from functools import partial
from typing import Any, TextIO

import av
from PIL import Image

# A clip can wait for a moment; what keeps the providers busy goes first.
NICENESS = 10
MEMORY_BYTES = 1024 * 1024 * 1024
# The parent gives up on a clip sooner; this is for a child whose parent is dead.
ALARM_SECONDS = 60
MAX_PIXELS = 8192 * 4352
MAX_PACKETS = 200_000
POSTER_WIDTH = 640
POSTER_QUALITY = 82


# Before release 19 PyAV refused a film for a title that isn't UTF-8, unless told otherwise.
_open: Any = partial(av.open, metadata_errors="replace") if av.__version__ < "19" else av.open


class Unplayable(Exception):
    """The file is not the clip that was ordered; the text says why."""


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Whatever a library prints must not be taken for an answer.
    _confine()
    _write(answers, {"ready": True})
    for line in sys.stdin:
        signal.alarm(ALARM_SECONDS)
        _write(answers, _answer(json.loads(line)))
        signal.alarm(0)


def _confine() -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # macOS refuses to limit the address space.
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _write(answers: TextIO, value: dict[str, object]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, object]:
    try:
        return _probe(request["path"], request["expected_seconds"])
    except Unplayable as error:
        return {"unplayable": str(error)}
    except MemoryError:
        return {"unplayable": "needs too much memory"}
    except (av.FFmpegError, ValueError, OSError) as error:
        return {"unplayable": f"{type(error).__name__} while reading it"}
    except Exception as error:  # A mistake of ours, or a new release of PyAV: no news about the clip.
        return {"broken": repr(error)[:500]}


def _probe(path: str, expected_seconds: float) -> dict[str, object]:
    options = {"protocol_whitelist": "file"}
    with _open(f"file:{path}", format="mp4", options=options) as container:
        if not container.streams.video:
            raise Unplayable("has no video")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if not 0 < stream.codec_context.width * stream.codec_context.height <= MAX_PIXELS:
            raise Unplayable("has a picture of an impossible size")
        frame, duration = _watch(container, stream)
    if abs(duration - expected_seconds) > max(0.5, 0.1 * expected_seconds):
        raise Unplayable(f"plays for {duration:.2f} s instead of {expected_seconds:g} s")
    poster = base64.b64encode(_poster(frame)).decode()
    return {
        "duration_seconds": round(duration, 3),
        "width": frame.width,
        "height": frame.height,
        "poster": poster,
    }


def _watch(container: "av.container.InputContainer", stream: "av.VideoStream") -> tuple["av.VideoFrame", float]:
    """Return the first frame, and how long the pictures that are really there last.

    The header's duration is only a claim, so every packet is read. Decoding all of them would cost a second
    of CPU per clip and is left out: pictures broken in the middle of a complete file go unnoticed.
    """
    frame: av.VideoFrame | None = None
    first, last = Fraction(10**9), Fraction(0)
    for number, packet in enumerate(container.demux(stream)):
        if number > MAX_PACKETS:
            raise Unplayable("has too many frames")
        if frame is None:
            frame = next(iter(packet.decode()), None)
        if packet.pts is None or packet.time_base is None or packet.is_corrupt:
            continue
        first = min(first, packet.pts * packet.time_base)
        last = max(last, (packet.pts + (packet.duration or 0)) * packet.time_base)
    if frame is None:
        raise Unplayable("has no picture that can be decoded")
    return frame, float(max(Fraction(0), last - first))


def _poster(frame: "av.VideoFrame") -> bytes:
    width = min(POSTER_WIDTH, frame.width)
    small = frame.reformat(width=width, height=max(1, frame.height * width // frame.width), format="rgb24")
    image: Image.Image = small.to_image()  # type: ignore[no-untyped-call]
    out = io.BytesIO()
    image.save(out, "JPEG", quality=POSTER_QUALITY)
    return out.getvalue()


if __name__ == "__main__":
    main()
