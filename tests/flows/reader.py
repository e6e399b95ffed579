"""Somebody who follows a page: runs what it shows, in its order, as in one terminal.

What a page says in words is done too. "Save this as `name`" makes a file of a block, what is to run "in a second
terminal" goes on in the background, and "wait until the second terminal prints …" waits.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.programs import NODE_MODULES, node
from tests.sora2.documents import Block

BLOCK_SECONDS = 120
WAIT_SECONDS = 60
SUFFIX = {"python": ".py", "js": ".mjs", "javascript": ".mjs", "json": ".json"}
SAVED = re.compile(r"\bSave\s+(?:this|it)\s+as\s+((?:`[^`]+`(?:\s+or\s+)?)+)", re.IGNORECASE)
SECOND_TERMINAL = re.compile(r"\bIn a second terminal\b")
PRINTS = re.compile(r"\bprints\s+`([^`]+)`")
# Without a network: what npm would install must be there. (pip sees that by itself.)
NPM = """#!/bin/sh
test "$1" = install && shift || exit 2
for name; do test -d "node_modules/$name" || exit 1; done
"""


class Reader:
    """A reader who begins in a directory. `words` are put in where the page has an example of them.

    `folder` is for what the reader needs: by default that directory.
    """

    def __init__(
        self, begin: Path, environment: Mapping[str, str], words: Mapping[str, str], *, folder: Path | None = None
    ) -> None:
        self.here, self.words = begin, words
        self.folder = folder = folder or begin
        self.printed: list[str] = []
        self._terminals = ExitStack()
        self._log = folder / "second-terminal.log"
        programs = folder / "programs"
        programs.mkdir()
        (programs / "npm").write_text(NPM)
        (programs / "npm").chmod(0o755)
        (programs / ".curlrc").write_text("fail-with-body\n")
        self.environment = {
            **environment,
            "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), environment["PATH"]]),
            "CURL_HOME": str(programs),
            "PIP_NO_INDEX": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._terminals.close()

    @property
    def second_terminal(self) -> str:
        """Return what the second terminal shows."""
        return self._log.read_text() if self._log.exists() else ""

    def follow(self, blocks: Iterable[Block]) -> None:
        """Do what each block is for; fail at the first one that does not work."""
        for block in blocks:
            self.do(block)

    def do(self, block: Block) -> None:
        """Save a block, start it in the background, or run it to its end."""
        text = self._filled(block.text)
        if SECOND_TERMINAL.search(block.said):
            self._start(text, until=PRINTS.search(block.said))
            return
        if waited := re.search(r"[Ww]ait until the second terminal prints\s+`([^`]+)`", block.said):
            self._await(waited[1])
        if name := saved_as(block):
            (self.here / name).write_text(text)
        elif block.language in ("sh", "python", "js"):
            self._run(block, self._command(block, text))

    def _filled(self, text: str) -> str:
        for example, own in self.words.items():
            text = text.replace(example, own)
        return text

    def _command(self, block: Block, text: str) -> list[str]:
        if block.language == "sh":
            return ["sh", "-euc", f"{text}\npwd > '{self.folder}/.directory'\nenv -0 > '{self.folder}/.environment'"]
        program = self.here / f"step-{block.line}{SUFFIX[block.language]}"
        program.write_text(text)
        return [self._node() if block.language == "js" else "python3", program.name]

    def _node(self) -> str:
        path, modules = node(), self.here / "node_modules"
        if not modules.exists():
            modules.symlink_to(NODE_MODULES)
        return path

    def _run(self, block: Block, command: list[str]) -> None:
        if block.tab == "Node":
            self._node()
        run = subprocess.run(
            command, cwd=self.here, env=self.environment, capture_output=True, text=True, timeout=BLOCK_SECONDS
        )
        assert run.returncode == 0, f"{block}\n{block.text}\n{run.stdout}\n{run.stderr}\n{self.second_terminal}"
        self.printed.append(run.stdout)
        if block.language == "sh":  # Where it went and what it exported is so for the next one.
            variables = (self.folder / ".environment").read_text().split("\0")
            self.environment = dict(variable.split("=", 1) for variable in variables if variable)
            self.here = Path((self.folder / ".directory").read_text().strip())

    def _start(self, text: str, *, until: re.Match[str] | None) -> None:
        output = self._terminals.enter_context(self._log.open("w"))
        process = subprocess.Popen(
            ["sh", "-c", f"exec {text}"], cwd=self.here, env=self.environment, stdout=output, stderr=output
        )
        self._terminals.callback(process.wait)
        self._terminals.callback(process.kill)
        if until:
            self._await(until[1])

    def _await(self, words: str) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while words not in self.second_terminal:
            assert time.monotonic() < end, f"It never printed {words!r}: {self.second_terminal}"
            time.sleep(0.1)


def saved_as(block: Block) -> str:
    """Return the name under which the page has the reader save a block; empty if it does not."""
    said = SAVED.findall(block.said)
    names = re.findall(r"`([^`]+)`", said[-1]) if said else []
    return next((name for name in names if Path(name).suffix == SUFFIX.get(block.language)), "")


def in_tab(blocks: Iterable[Block], tab: str) -> list[Block]:
    """Return what a reader of one tab does; where it has no block of its own, the first of the others."""
    chosen: list[Block] = []
    for block in blocks:
        is_alternative = block.tab and chosen and chosen[-1].tab and chosen[-1].said is block.said
        if not is_alternative:
            chosen.append(block)
        elif block.tab == tab:
            chosen[-1] = block
    return chosen
