"""The rule that nobody calls by HTTP without the guard is on, and where it is off."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def findings(code: str, file: str) -> str:
    """Return what ruff says of `code` as the text of `file`, by the project's own rules."""
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--no-cache",
            "--output-format=concise",
            f"--stdin-filename={file}",
            "-",
        ],
        cwd=PROJECT,
        input=code,
        capture_output=True,
        text=True,
    )
    assert run.returncode in (0, 1), run.stderr
    return run.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import requests\n\nrequests.get\n",
        "from requests import get\n\nget\n",
        "from requests.adapters import HTTPAdapter\n\nHTTPAdapter\n",
        "def late() -> None:\n    import requests\n\n    requests.get\n",
        "import requests_hardened\n\nrequests_hardened.Manager\n",
        "import urllib3\n\nurllib3.PoolManager\n",
        "from urllib.request import urlopen\n\nurlopen\n",
        "import urllib.request\n\nurllib.request.urlopen\n",
        "from http import client\n\nclient.HTTPSConnection\n",
        "from http.client import HTTPSConnection\n\nHTTPSConnection\n",
        "import httpx\n\nhttpx.get\n",
        "import aiohttp\n\naiohttp.request\n",
    ],
)
def test_calling_by_http_without_the_guard_is_found(code: str) -> None:
    for file in ("batches/x.py", "webhooks/delivery.py", "pilots/services.py", "batches/management/commands/x.py"):
        found = findings(code, file)
        assert "TID251" in found
        assert "Use webhooks.guarded" in found


@pytest.mark.parametrize(
    "file",
    [
        "webhooks/guarded.py",
        "webhooks/deadlines.py",
        "batches/providers/x.py",
        "batches/sla/asking.py",
        "tests/x/test_x.py",
        "examples/python/x.py",
    ],
)
def test_who_has_a_reason_may(file: str) -> None:
    assert "TID251" not in findings("import requests\n\nrequests.get\n", file)


def test_taking_addresses_apart_is_not_calling() -> None:
    assert "TID251" not in findings("from http import HTTPStatus\nfrom urllib.parse import urlsplit\n", "batches/x.py")
