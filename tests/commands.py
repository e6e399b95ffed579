"""The commands that a page shows, as a shell reads them, and what they send."""

import argparse
import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from customers.models import Mode

SUMMARY = "<summary>The same by the API</summary>"
SHOWN = re.compile(r'<pre class="raw">(curl .*?)</pre>', re.DOTALL)
COPIED = re.compile(r'data-copy="(curl [^"]*)"')
KEYS = {"X-API-Key: $SORA2_API_KEY": Mode.LIVE, "X-API-Key: $SORA2_TEST_API_KEY": Mode.TEST}


@dataclass(frozen=True)
class Sent:
    """What a command sends, with a key of which mode."""

    method: str
    path: str
    query: dict[str, str]
    mode: Mode
    body: Any


def shown(response: Any) -> list[str]:
    """Return the commands that a page shows, which are those that are copied."""
    # A page may show commands of its own before.
    text = response.content.decode().partition(SUMMARY)[2]
    commands = [unescape(command) for command in SHOWN.findall(text)]
    assert commands == [unescape(command) for command in COPIED.findall(text)]
    return commands


def sent_from(response: Any) -> list[Sent]:
    """Return what the commands of a page send."""
    return [read(command) for command in shown(response)]


def read(command: str) -> Sent:
    """Return what a command sends."""
    known = argparse.ArgumentParser()
    known.add_argument("-X", default="GET")
    known.add_argument("-H", action="append")
    known.add_argument("-fOJ", action="store_true")
    known.add_argument("--data-raw", default="null")
    known.add_argument("address")
    name, *words = shlex.split(command.replace("\\\n", " "))
    assert name == "curl"
    given = known.parse_args(words)
    address = urlsplit(given.address)
    return Sent(
        method=given.X,
        path=address.path,
        query={name: value for name, (value,) in parse_qs(address.query, strict_parsing=bool(address.query)).items()},
        mode=KEYS[given.H[0]],
        body=json.loads(given.data_raw),
    )


def in_a_shell(command: str, directory: Path, **environment: str) -> str:
    """Run a command as it is, and return what it says."""
    known = {"PATH": os.environ["PATH"], "NO_PROXY": "*", **environment}
    words = ["/bin/sh", "-ec", command]
    return subprocess.run(words, cwd=directory, env=known, capture_output=True, text=True, check=True).stdout
