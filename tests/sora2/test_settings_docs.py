"""What the documentation says about settings and checks is what the code reads and asks for."""

import ast
import re

import pytest

from sora2 import checks
from tests.sora2.documents import CODE, ROOT, table

SETTINGS = ast.parse((ROOT / "sora2/settings.py").read_text())


def variables() -> dict[str, ast.expr]:
    """Return the default of each variable that the settings read as `env.something(NAME, default=…)`."""
    found = {}
    for node in ast.walk(SETTINGS):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_env(node.func.value):
            for name in node.args[:1]:
                if isinstance(name, ast.Constant):
                    found[str(name.value)] = next(k.value for k in node.keywords if k.arg == "default")
    return found


def is_env(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "env"


def documented() -> dict[str, list[str]]:
    return table("reference/settings.md", "Variables")


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    assert documented().keys() == variables().keys()


@pytest.mark.parametrize("name", sorted(variables()))
def test_a_plain_default_is_the_documented_one(name: str) -> None:
    default = variables()[name]
    if isinstance(default, ast.List) and not default.elts:
        expected = "empty"
    elif isinstance(default, ast.Constant):
        expected = f"`{default.value!s}`" if default.value != "" else "empty"
    else:
        return  # It depends on other settings: the page says so in words.
    said = documented()[name][0]
    assert said == expected or said.startswith("derived")


def test_a_variable_has_one_line_that_says_what_it_means() -> None:
    assert [name for name, (_, meaning) in documented().items() if not meaning.endswith(".")] == []


def test_the_settings_are_the_only_place_that_reads_them_from_the_environment() -> None:
    """`manage.py` and the stack look at some before there are settings; they know no others."""
    read = re.compile(r"os\.environ(?:\.get\(|\[)\"(\w+)\"")
    sources = [
        path
        for app in ("sora2", "customers", "ledger", "webhooks", "batches", "pilots")
        for path in (ROOT / app).rglob("*.py")
        # It holds programs that readers run elsewhere.
        if path != ROOT / "webhooks/snippets.py"
    ]
    found = {name for path in sources for name in read.findall(path.read_text())}
    assert found <= variables().keys()


def test_the_variables_of_the_procfile_are_documented() -> None:
    read = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "Procfile").read_text()))
    said = table("reference/settings.md", "Variables of the Procfile")
    assert {name: CODE.findall(default)[0] for name, (default, _) in said.items()} == read


def test_every_check_is_documented() -> None:
    asked = set(re.findall(r'id="(sora2\.[EW]\d+)"', (ROOT / "sora2/checks.py").read_text()))
    assert checks.__name__ == "sora2.checks"
    assert table("howto/deploy.md", "Checks").keys() == asked


def test_the_settings_of_a_deployment_exist() -> None:
    assert table("howto/deploy.md", "Settings").keys() <= variables().keys()
