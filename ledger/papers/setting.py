"""Setting papers: typst makes a PDF of a template of ours and of data, in a child process.

The data comes as one JSON text, which a template reads and shows: a text in it is only ever text, whatever it contains.
Equal data and time make equal bytes, on every machine: the fonts are typst's own. The file is archivable and tagged
(PDF/A-2a and PDF/UA-1), or it is not made.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from sora2.canonical import canonical_json

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/pdf"
TYPESETTER = Path(__file__).with_name("typesetter.py")
# A paper at its longest takes two or three seconds of one processor.
SETTING_SECONDS = 20.0
AT_ONCE = 2
WAIT_SECONDS = 10.0
# A paper must not take all processors.
ONE_THREAD = {"RAYON_NUM_THREADS": "1"}
# All else that the child is told of its surroundings: where programs and shared libraries are. No secrets.
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG")

_places = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Paper:
    """A PDF and what to call it."""

    body: bytes
    filename: str


class PaperUnavailable(Exception):
    """The paper cannot be set now: too many are being set, or it failed, which is in the logs. Nothing has changed."""


def set_paper(template: str, data: Mapping[str, Any], *, made_at: datetime) -> bytes:
    """Return the PDF of a template, such as `statement.typ`, dated `made_at`. Raises PaperUnavailable.

    To be called outside of any transaction, with data that is bounded: it takes time by its pages.
    """
    # A PDF cannot be dated before 1970.
    asked = {"template": template, "data": canonical_json(data), "made_at": max(0, int(made_at.timestamp()))}
    if not _places.acquire(timeout=WAIT_SECONDS):
        raise PaperUnavailable
    try:
        return _typeset(json.dumps(asked).encode(), template)
    finally:
        _places.release()


def _typeset(asked: bytes, template: str) -> bytes:
    try:
        done = subprocess.run(
            [sys.executable, "-I", TYPESETTER],
            input=asked,
            capture_output=True,
            check=True,
            timeout=SETTING_SECONDS,
            env=ONE_THREAD | {name: os.environ[name] for name in PASSED_ON if name in os.environ},
        )
    except subprocess.TimeoutExpired as error:
        log.error("papers.too_slow", template=template)
        raise PaperUnavailable from error
    except subprocess.CalledProcessError as error:
        log.error("papers.failed", template=template, status=error.returncode, said=_fault(error.stderr))
        raise PaperUnavailable from error
    return done.stdout


def _fault(stderr: bytes) -> str:
    """Return what the child said last, without the customer's text that it may quote."""
    return stderr.decode(errors="replace").strip().rpartition("\n")[2].partition("`")[0][:300]
