"""Real, playable clips that show their prompt, cheap enough to make by the thousand.

Two frames a second on one colour, drawn as luma only: no colour conversion, hardly any motion to encode. A
clip of 4 seconds in 1280x720 costs about 40 ms of one core. Equal requests give equal bytes.
"""

import io
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import av
from PIL import Image, ImageDraw, ImageFont

FRAMES_PER_SECOND = 2
MARGIN_SHARE = 0.06
MAX_LINES = 12
INK = 235
Key = tuple[object, ...]
# An MP4's first box, so that only a look inside tells that there is no film.
BAD_OUTPUT = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"this is no film " * 512


class ClipCache:
    """Files by key, up to `max_bytes` in all, the least recently used given up first.

    A file is made once even if many ask for it at the same moment, and as many are made at once as there are cores:
    on threads of its own, because each thread that ever made a film holds on to the memory it took.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._files: OrderedDict[Key, bytes] = OrderedDict()
        self._making: dict[Key, Future[bytes]] = {}
        self._lock = threading.Lock()
        self._makers = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)

    def get(self, key: Key, make: Callable[[], bytes]) -> bytes:
        """Return the file of `key`, made by `make` if it is not there."""
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
                return self._files[key]
            if key not in self._making:
                self._making[key] = self._makers.submit(self._make, key, make)
            made = self._making[key]
        return made.result()

    def close(self) -> None:
        """Make no more files; those who wait for one get none."""
        self._makers.shutdown(wait=False, cancel_futures=True)

    def _make(self, key: Key, make: Callable[[], bytes]) -> bytes:
        try:
            made = make()
            with self._lock:
                self._keep(key, made)
            return made
        finally:
            with self._lock:
                del self._making[key]

    def _keep(self, key: Key, made: bytes) -> None:
        self._files[key] = made
        self._bytes += len(made)
        while self._bytes > self._max_bytes and len(self._files) > 1:
            _, given_up = self._files.popitem(last=False)
            self._bytes -= len(given_up)


def video(prompt: str, *, seconds: int, width: int, height: int) -> bytes:
    """Return an MP4 (H.264, yuv420p) of exactly `seconds` that shows `prompt` and a frame counter."""
    picture = _picture(prompt, width, height)
    chroma = _chroma(prompt, width // 2, height // 2)
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "28"}
        for counted in _counted(picture, seconds * FRAMES_PER_SECOND):
            container.mux(stream.encode(_frame(counted, *chroma)))
        container.mux(stream.encode())
    return out.getvalue()


def still(prompt: str, *, width: int, height: int, image_format: str) -> bytes:
    """Return the clip's picture as an image file; `image_format` is Pillow's name, such as WEBP."""
    planes = (_picture(prompt, width, height), *_chroma(prompt, width, height))
    out = io.BytesIO()
    Image.merge("YCbCr", planes).convert("RGB").save(out, image_format)
    return out.getvalue()


def _counted(picture: Image.Image, frames: int) -> Iterator[Image.Image]:
    """Yield the picture with a frame counter and a growing bar, so that a player shows movement."""
    width, height = picture.size
    font = ImageFont.load_default(max(10, height // 24))
    for number in range(1, frames + 1):
        frame = picture.copy()
        draw = ImageDraw.Draw(frame)
        draw.rectangle((0, height - max(4, height // 90), width * number // frames, height), fill=INK)
        place = (width * (1 - MARGIN_SHARE), height * (1 - MARGIN_SHARE))
        draw.text(place, f"{number} / {frames}", font=font, fill=INK, anchor="rs")
        yield frame


def _picture(prompt: str, width: int, height: int) -> Image.Image:
    picture = Image.new("L", (width, height), 50 + _seed(prompt) % 40)
    font = ImageFont.load_default(max(10, min(width, height) // 16))
    margin = int(width * MARGIN_SHARE)
    lines = _wrapped(prompt, font, width - 2 * margin)
    ImageDraw.Draw(picture).multiline_text((margin, int(height * MARGIN_SHARE)), "\n".join(lines), font=font, fill=INK)
    return picture


def _wrapped(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> list[str]:
    """Break `text` into lines that fit, cut after MAX_LINES; a word longer than a line is cut too."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer[:200]) <= width:
            lines[-1] = longer[:200]
        elif len(lines) == MAX_LINES:
            lines[-1] += " …"
            break
        else:
            lines.append(word[:200])
    return lines


def _chroma(prompt: str, width: int, height: int) -> tuple[Image.Image, Image.Image]:
    seed = _seed(prompt)
    blue, red = 96 + (seed >> 8) % 64, 96 + (seed >> 16) % 64
    return Image.new("L", (width, height), blue), Image.new("L", (width, height), red)


def _frame(luma: Image.Image, blue: Image.Image, red: Image.Image) -> av.VideoFrame:
    frame = av.VideoFrame(luma.width, luma.height, "yuv420p")
    for plane, image in zip(frame.planes, (luma, blue, red), strict=True):
        if plane.line_size != image.width:  # Rows in memory may be longer than the picture is wide.
            padded = Image.new("L", (plane.line_size, image.height))
            padded.paste(image)
            image = padded
        plane.update(image.tobytes())
    return frame


def _seed(prompt: str) -> int:
    return zlib.crc32(prompt.encode("utf-8", "replace"))
