"""The child process that sets one paper: started by ledger.papers.setting, never imported by it.

It reads one JSON object from stdin and writes the PDF to stdout. A long paper takes some hundred MB, which a process
that lives on would keep; so this one ends. It has no secrets, no files to write, little memory and little time.
"""

import json
import resource
import signal
import sys
from pathlib import Path

import typst

FOLDER = Path(__file__).parent
MEMORY_BYTES = 2 * 1024 * 1024 * 1024  # Of addresses: what is really used is a fraction of it.
# The parent gives up sooner; this is for a child whose parent is dead.
ALARM_SECONDS = 60


def main() -> None:
    """Set the paper that is asked for."""
    _confine()
    asked = json.load(sys.stdin.buffer)
    made = typst.compile(
        FOLDER / asked["template"],
        format="pdf",
        root=FOLDER,
        font_paths=typst.Fonts(include_system_fonts=False),
        ignore_system_fonts=True,
        sys_inputs={"data": asked["data"]},
        pdf_standards=["a-2a", "ua-1"],
        timestamp=asked["made_at"],
    )
    assert isinstance(made, bytes)  # noqa: S101 - a PDF is one file; only pictures are several.
    sys.stdout.buffer.write(made)


def _confine() -> None:
    signal.alarm(ALARM_SECONDS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # macOS refuses to limit the address space.
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    main()
