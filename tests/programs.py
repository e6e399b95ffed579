"""Programs that some tests run. Where one is missing they skip and say so; with CI set they fail."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]
NODE_MODULES = ROOT / "tests" / "webhooks" / "node" / "node_modules"
EXAMPLE_MODULES = ROOT / "examples" / "node" / "node_modules"


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


def node(modules: Path = NODE_MODULES) -> str:
    """Return where Node is installed, with the packages that a test needs."""
    path = program("node", package="nodejs")
    if not (modules / ".package-lock.json").is_file():  # npm writes it when all is there.
        folder = modules.parent.relative_to(ROOT)
        lacking(f"The packages of {folder} are not installed: bin/test does it where npm is installed.")
    return path


def php() -> str:
    """Return where PHP is installed."""
    return program("php", package="php-cli")
