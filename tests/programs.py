"""Programs that some tests run. Where one is missing they skip and say so; with CI set they fail."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

NODE_MODULES = Path(__file__).parent / "webhooks" / "node" / "node_modules"


def lacking(reason: str) -> NoReturn:
    """Skip the test for a reason; under CI, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def program(*names: str, package: str) -> str:
    """Return where the first of these programs is installed; they are looked for by path or by name."""
    for name in names:
        if path := shutil.which(name):
            return path
    lacking(f"There is no {' or '.join(names)}: install the package {package} to run this test.")


def node() -> str:
    """Return where Node is installed, with the packages that tests need."""
    path = program("node", package="nodejs")
    if not (NODE_MODULES / "standardwebhooks").is_dir():
        lacking("The packages of tests/webhooks/node are not installed: bin/test does it where npm is installed.")
    return path


def php() -> str:
    """Return where PHP is installed."""
    return program("php", package="php-cli")
