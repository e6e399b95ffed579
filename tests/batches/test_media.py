"""Looking into clips in a child process: what plays, what doesn't, and what happens when the child dies."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import pytest
from PIL import Image

from batches import media
from batches.simulator import clips


@pytest.fixture(scope="module")
def film() -> bytes:
    return clips.video("A cat playing piano", seconds=4, width=320, height=180)


@pytest.fixture
def poster(tmp_path: Path) -> Path:
    return tmp_path / "poster.jpg"


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    return path


def children() -> list[int]:
    return [child.pid for child in media._pool._idle]


def unplayable(tmp_path: Path, content: bytes, seconds: int = 4) -> str:
    poster = tmp_path / "poster.jpg"
    with pytest.raises(media.Unplayable) as caught:
        media.probe(written(tmp_path, content), expected_seconds=seconds, poster=poster)
    assert not poster.exists()
    return caught.value.detail


def test_a_clip_that_plays_gives_its_measures_and_a_poster(tmp_path: Path, film: bytes, poster: Path) -> None:
    clip = media.probe(written(tmp_path, film), expected_seconds=4, poster=poster)
    assert clip == media.Clip(duration_seconds=4.0, width=320, height=180)
    with Image.open(poster) as image:
        assert (image.format, image.size) == ("JPEG", (320, 180))


def test_a_poster_is_at_most_640_pixels_wide(tmp_path: Path, poster: Path) -> None:
    film = clips.video("wide", seconds=1, width=1280, height=720)
    media.probe(written(tmp_path, film), expected_seconds=1, poster=poster)
    with Image.open(poster) as image:
        assert image.size == (640, 360)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_does_not_play(tmp_path: Path, film: bytes, share: float) -> None:
    unplayable(tmp_path, film[: int(len(film) * share)])


def test_a_file_whose_header_promises_more_than_is_there_does_not_play(tmp_path: Path) -> None:
    film = remuxed(tmp_path, clips.video("x", seconds=4, width=320, height=180), movflags="faststart")
    assert "instead of 4 s" in unplayable(tmp_path, film[: len(film) * 4 // 5])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 5000,
        os.urandom(5000),
        clips.BAD_OUTPUT,
        b"<!doctype html><html><body>502 Bad Gateway</body></html>",
        b"#EXTM3U\n#EXTINF:4,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
    ids=["empty", "zeros", "random", "bad output", "html", "playlist", "concat"],
)
def test_what_is_no_mp4_does_not_play(tmp_path: Path, content: bytes) -> None:
    unplayable(tmp_path, content)


def test_a_film_in_another_container_does_not_play(tmp_path: Path, film: bytes) -> None:
    unplayable(tmp_path, remuxed(tmp_path, film, container="matroska"))


def test_sound_alone_does_not_play(tmp_path: Path) -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100, layout="stereo")
        frame = av.AudioFrame(format="fltp", layout="stereo", samples=1024)
        frame.sample_rate, frame.pts = 44100, 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert unplayable(tmp_path, out.getvalue()) == "has no video"


@pytest.mark.parametrize(("ordered", "plays"), [(4, True), (5, False), (3, False), (8, False)])
def test_the_duration_must_be_what_was_ordered(
    tmp_path: Path, film: bytes, poster: Path, ordered: int, plays: bool
) -> None:
    if plays:
        media.probe(written(tmp_path, film), expected_seconds=ordered, poster=poster)
    else:
        assert unplayable(tmp_path, film, ordered) == f"plays for 4.00 s instead of {ordered} s"


def test_a_tenth_of_a_long_clip_is_tolerated(tmp_path: Path, poster: Path) -> None:
    film = clips.video("long", seconds=11, width=64, height=64)
    assert media.probe(written(tmp_path, film), expected_seconds=12, poster=poster).duration_seconds == 11


def test_a_title_that_is_not_utf8_is_no_reason_to_refuse_a_film(tmp_path: Path, film: bytes, poster: Path) -> None:
    assert b"Lavf" in film
    odd = film.replace(b"Lavf", b"\xffavf")
    assert media.probe(written(tmp_path, odd), expected_seconds=4, poster=poster).width == 320


def test_a_missing_file_does_not_play(tmp_path: Path, poster: Path) -> None:
    with pytest.raises(media.Unplayable):
        media.probe(tmp_path / "nothing.mp4", expected_seconds=4, poster=poster)


def test_a_child_is_kept_for_the_next_clip(tmp_path: Path, film: bytes, poster: Path) -> None:
    path = written(tmp_path, film)
    media.probe(path, expected_seconds=4, poster=poster)
    before = children()
    with pytest.raises(media.Unplayable):
        media.probe(written(tmp_path, b"garbage"), expected_seconds=4, poster=poster)
    media.probe(written(tmp_path, film), expected_seconds=4, poster=poster)
    assert children() == before


def test_a_child_that_died_between_clips_costs_none(tmp_path: Path, film: bytes, poster: Path) -> None:
    path = written(tmp_path, film)
    media.probe(path, expected_seconds=4, poster=poster)
    dead = children()[-1]
    os.kill(dead, signal.SIGKILL)
    assert media.probe(path, expected_seconds=4, poster=poster).width == 320
    assert dead not in children()


def test_a_child_that_dies_over_a_clip_is_replaced_once(
    tmp_path: Path, film: bytes, poster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "WORKER", worker_that(tmp_path, "os.kill(os.getpid(), 9)"))
    fresh = media._Pool()
    monkeypatch.setattr(media, "_pool", fresh)
    with pytest.raises(media.Unplayable, match="crashes the decoder"):
        media.probe(written(tmp_path, film), expected_seconds=4, poster=poster)
    assert fresh._idle == []


def test_a_child_that_hangs_costs_one_clip(
    tmp_path: Path, film: bytes, poster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "PROBE_SECONDS", 0.3)
    fresh = media._Pool()
    monkeypatch.setattr(media, "_pool", fresh)
    path = written(tmp_path, film)
    with monkeypatch.context() as patched:
        patched.setattr(media, "WORKER", worker_that(tmp_path, "time.sleep(60)"))
        with pytest.raises(media.Unplayable, match=r"within 0.3 s"):
            media.probe(path, expected_seconds=4, poster=poster)
    monkeypatch.setattr(media, "PROBE_SECONDS", 20.0)
    assert media.probe(path, expected_seconds=4, poster=poster).width == 320
    fresh.close()


def test_a_mistake_of_ours_says_nothing_about_the_clip(
    tmp_path: Path, film: bytes, poster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistaken = tmp_path / "mistaken.py"
    mistaken.write_text(media.WORKER.read_text().replace("_watch(container, stream)", "_watch()"))
    pool = media._Pool()
    monkeypatch.setattr(media, "WORKER", mistaken)
    monkeypatch.setattr(media, "_pool", pool)
    with pytest.raises(media.ProbeUnavailable, match="TypeError"):
        media.probe(written(tmp_path, film), expected_seconds=4, poster=poster)
    pool.close()


def test_a_worker_that_does_not_start_says_nothing_about_the_clip(
    tmp_path: Path, film: bytes, poster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "WORKER", tmp_path / "missing.py")
    monkeypatch.setattr(media, "_pool", media._Pool())
    with pytest.raises(media.ProbeUnavailable):
        media.probe(written(tmp_path, film), expected_seconds=4, poster=poster)


def test_many_threads_share_the_children(tmp_path: Path, film: bytes) -> None:
    path = written(tmp_path, film)
    found: list[media.Clip] = []

    def look(number: int) -> None:
        found.append(media.probe(path, expected_seconds=4, poster=tmp_path / f"{number}.jpg"))

    threads = [threading.Thread(target=look, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 12
    assert len(children()) <= media.CHILDREN


def test_a_forked_process_has_children_of_its_own(tmp_path: Path, film: bytes, poster: Path) -> None:
    path = written(tmp_path, film)
    media.probe(path, expected_seconds=4, poster=poster)
    forked = os.fork()
    if forked == 0:
        try:
            assert children() == []
            assert media.probe(path, expected_seconds=4, poster=tmp_path / "forked.jpg").width == 320
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert media.probe(path, expected_seconds=4, poster=poster).width == 320


def test_children_end_with_a_parent_that_was_killed(tmp_path: Path, film: bytes) -> None:
    program = (
        "import pathlib, time; from batches import media;"
        f"media.probe(pathlib.Path({str(written(tmp_path, film))!r}), expected_seconds=4,"
        f" poster=pathlib.Path({str(tmp_path / 'p.jpg')!r}));"
        "print(media._pool._idle[0].pid, flush=True); time.sleep(60)"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 10
    while runs(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not runs(child)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_the_child_knows_no_secrets(tmp_path: Path, film: bytes, poster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_OPENAI_API_KEY", "sk-secret")
    pool = media._Pool()
    monkeypatch.setattr(media, "_pool", pool)
    media.probe(written(tmp_path, film), expected_seconds=4, poster=poster)
    assert b"sk-secret" not in Path(f"/proc/{pool._idle[0].pid}/environ").read_bytes()
    pool.close()


def test_the_child_starts_without_django() -> None:
    program = [sys.executable, "-I", "-X", "importtime", str(media.WORKER)]
    run = subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert "av.container" in run.stderr
    assert "django" not in run.stderr
    assert "batches" not in run.stderr


def worker_that(tmp_path: Path, does: str) -> Path:
    """Write a worker that gets ready as ours does, and then does something bad with its first clip."""
    worker = tmp_path / "worker.py"
    worker.write_text(f"import os, sys, time\nprint('{{}}', flush=True)\nsys.stdin.readline()\n{does}\n")
    return worker


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # A zombie that init has yet to reap has ended.
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def remuxed(tmp_path: Path, film: bytes, *, container: str = "mp4", movflags: str = "") -> bytes:
    """Put the pictures of `film` into another file, without a new encoding."""
    path = tmp_path / "remuxed"
    options = {"movflags": movflags} if movflags else {}
    with (
        av.open(io.BytesIO(film), "r") as source,
        av.open(path, "w", format=container, options=options) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path.read_bytes()
