"""What stands beside the example for Node is right: its types are those of the OpenAPI document, and it compiles."""

import json
import os
import re
import subprocess
from pathlib import Path

from sora2.openapi import document
from tests.programs import EXAMPLE_MODULES, node, program

FOLDER = EXAMPLE_MODULES.parent
REMEDY = "The document has changed: run `npm run types` in examples/node, with SORA2_URL set to a running system."


def npm(*arguments: str, **environment: str) -> None:
    """Run a script of package.json."""
    node(EXAMPLE_MODULES)
    done = subprocess.run(
        [program("npm", package="npm"), "run", "--silent", *arguments],
        cwd=FOLDER,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_types_are_those_of_the_document(tmp_path: Path) -> None:
    source, made = tmp_path / "openapi.json", tmp_path / "openapi.d.ts"
    source.write_text(json.dumps(document()))
    npm("types", OPENAPI=str(source), TYPES=str(made))
    assert made.read_text() == (FOLDER / "openapi.d.ts").read_text(), REMEDY


def test_it_compiles_with_nothing_that_node_cannot_erase() -> None:
    assert (
        json.loads((FOLDER / "tsconfig.json").read_text())["compilerOptions"].items()
        >= {
            "strict": True,
            "erasableSyntaxOnly": True,
            "noEmit": True,
        }.items()
    )
    npm("check")


def test_it_needs_no_package_at_run_time() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    assert "dependencies" not in package
    imported = re.findall(r'^import (type )?.*from "(.+)";$', (FOLDER / "batch_basic.ts").read_text(), re.MULTILINE)
    assert imported
    assert all(module.startswith("node:") or type_only for type_only, module in imported)


def test_the_lock_says_what_is_installed_and_not_from_where() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    wanted = json.loads((FOLDER / "package.json").read_text())["devDependencies"]
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert wanted["typescript"].startswith("5.")
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())
