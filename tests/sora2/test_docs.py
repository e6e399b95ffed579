"""The documentation is complete and true: its tables are compared with the code, its links with the files."""

import ast
import inspect
import re
import subprocess
import tomllib
from argparse import Action
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.db.models import TextChoices
from django.utils import timezone

from batches.catalogue import LifeCycle, catalogue
from batches.failures import POLICIES, FailureType
from batches.models import STATUS_OF_STATE, Stage, State, Status
from batches.models import Attempt as Submit
from batches.operations import RETRY_BATCH
from batches.reconciliation import INVARIANTS
from batches.simulator.marks import MARK, PLAYABLE
from customers.access import CUSTOMER_ROLES, SCOPES, STAFF_ROLES, Permission
from ledger.models import Entry, Invoice
from ledger.sandbox import LEVEL_CREDITS
from pilots.services import SANDBOX_CREDITS
from sora2.api import PROBLEMS
from sora2.openapi import document
from sora2.operations import UNREADABLE
from tests.sora2.documents import DOCS, PAGES, ROOT, anchors, codes, links, section, table
from webhooks.delivery import MAX_ATTEMPTS, RETRY_SCHEDULE_SECONDS
from webhooks.models import Delivery, EventType

APPS = ("sora2", "customers", "ledger", "webhooks", "batches", "pilots")


# --- reference pages -----------------------------------------------------------------------------------------------


def test_errors() -> None:
    said = {code: int(cells[0]) for code, cells in table("reference/errors.md", "Codes").items()}
    assert said == {code: status for code, (status, _) in PROBLEMS.items()}


@pytest.mark.parametrize(
    ("heading", "files"),
    [
        ("Faults of a batch", ["batches/intake.py"]),
        ("Faults of a webhook endpoint", ["webhooks/intake.py", "webhooks/problems.py"]),
        ("Faults of a key", ["customers/intake.py", "customers/issuing.py", "customers/problems.py"]),
    ],
)
def test_faults(heading: str, files: list[str]) -> None:
    trees = [ast.parse((ROOT / file).read_text()) for file in [*files, "sora2/faults.py"]]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    used = {
        call.args[1].value
        for call in calls
        if ast.unparse(call.func) in ("self.fault", "reader.fault", "Fault", "refused")
        and isinstance(call.args[1], ast.Constant)
    }
    assert table("reference/errors.md", heading).keys() == used


def test_refusals_of_a_retry() -> None:
    refused = set(RETRY_BATCH.errors) - set(UNREADABLE)
    assert table("howto/retry.md", "What is refused").keys() == refused


def test_what_ends_an_item_without_a_providers_word() -> None:
    lines = section("reference/failures.md", "Without a provider's word").splitlines()
    said = {code for line in lines if line.startswith("|") for code in codes(line.rpartition(" | ")[2])}
    assert said <= set(FailureType)


def test_the_life_of_a_model() -> None:
    assert table("reference/api.md", "Models").keys() == set(LifeCycle)


def test_events() -> None:
    assert table("reference/events.md", "Types").keys() == set(EventType.values)


def test_failures() -> None:
    said = table("reference/failures.md", "Types")
    assert said == {
        failure.value: [str(policy.attempts), "yes" if policy.retryable else "no", policy.message]
        for failure, policy in POLICIES.items()
    }


def test_waits_between_submits() -> None:
    said = table("reference/failures.md", "Waits between submits")
    for failure, policy in POLICIES.items():
        numbers = re.findall(r"[\d.]+", said[failure.value][0]) if policy.backoff_seconds else []
        assert [float(number) for number in numbers] == list(policy.backoff_seconds)
    assert said.keys() == {failure.value for failure, policy in POLICIES.items() if policy.attempts > 1}


def test_invariants() -> None:
    said = {view: promise for view, (promise,) in table("reference/invariants.md", "Views").items()}
    assert said == {invariant.view: invariant.promise for invariant in INVARIANTS}


def test_every_invariant_of_the_database_is_checked() -> None:
    sql = "".join(path.read_text() for app in APPS for path in (ROOT / app).glob("migrations/sql/*.sql"))
    assert set(re.findall(r"CREATE (?:OR REPLACE )?VIEW (invariant_\w+)", sql)) == {i.view for i in INVARIANTS}


@pytest.mark.parametrize(
    ("heading", "states"),
    [
        ("Batch state", State),
        ("Item status", Status),
        ("Item stage", Stage),
        ("Attempt state", Submit.State),
        ("Delivery state", Delivery.State),
        ("Invoice state", Invoice.State),
    ],
)
def test_states_and_their_moves(heading: str, states: type[TextChoices]) -> None:
    at = 1 if states is State else 0
    page = "reference/inside.md" if states in (Stage, Submit.State) else "reference/states.md"
    said = {state: codes(cells[at]) for state, cells in table(page, heading).items()}
    assert said == moves(states)


def moves(states: type[TextChoices]) -> dict[str, set[str]]:
    """Return where each state may go, as its line in the code says: `QUEUED = "queued"  # -> PROCESSING`."""
    found = {}
    for name, value, comment in re.findall(r'^ +([A-Z_]+) = "(\w+)"(?:  # -> (.*))?$', inspect.getsource(states), re.M):
        assert states[name].value == value
        found[value] = {states[word].value for word in re.findall(r"\b[A-Z_]{3,}\b", comment)}
    assert found.keys() == set(states.values)
    return found


def test_the_status_of_each_batch_state() -> None:
    said = {state: codes(cells[0]) for state, cells in table("reference/states.md", "Batch state").items()}
    assert said == {state.value: {status} for state, status in STATUS_OF_STATE.items()}


def test_kinds_of_entries() -> None:
    assert table("explanation/money.md", "One wallet, three buckets").keys() == set(Entry.Kind.values)


def test_scopes_and_roles() -> None:
    assert table("reference/access.md", "Scopes").keys() == {scope.value for scope in SCOPES}
    of_people = {permission.value for permission in set(Permission) - set(SCOPES)}
    assert table("reference/access.md", "Permissions of people").keys() == of_people
    for heading, roles in (("Staff roles", STAFF_ROLES), ("Customer roles", CUSTOMER_ROLES)):
        said = {role: codes(cells[0]) for role, cells in table("reference/access.md", heading).items()}
        assert said == {role: {str(permission) for permission in granted} for role, granted in roles.items()}


def test_the_sandbox_tells_every_mark_and_type_and_its_figures() -> None:
    found = re.search(r"\(([a-z_|]+)\)", MARK.pattern)
    assert found is not None
    said = {mark.strip("[]").partition(":")[0] for mark in table("howto/sandbox.md", "Marks in a prompt")}
    assert said == set(found[1].split("|"))
    text = section("howto/sandbox.md", "Marks in a prompt")
    named = codes(text[text.index("`TYPE` is") : text.index("The others")])
    assert named == {"TYPE", *(failure.value for failure in PLAYABLE)}
    money = section("howto/sandbox.md", "Play money")
    assert f"{SANDBOX_CREDITS:,} credits" in money
    assert f"{LEVEL_CREDITS:,} first" in money


def test_the_errors_of_the_sandbox_exist() -> None:
    rows = re.findall(r"^\| (\d{3}) `(\w+)` \|", section("howto/sandbox.md", "See each error"), re.M)
    assert len(rows) > 10
    assert {(int(status), code) for status, code in rows} <= {(status, code) for code, (status, _) in PROBLEMS.items()}


def test_marks_of_the_simulator() -> None:
    found = re.search(r"\(([a-z_|]+)\)", MARK.pattern)
    assert found is not None
    said = {mark.strip("[]").partition(":")[0] for mark in table("reference/simulator.md", "Marks")}
    assert said == set(found[1].split("|"))
    assert table("reference/simulator.md", "Types").keys() == {failure.value for failure in PLAYABLE}
    assert {failure.value for failure in set(FailureType) - set(PLAYABLE)} == codes(
        section("reference/simulator.md", "Types").rpartition("\n|")[2].partition("\n")[2]
    )


def test_endpoints() -> None:
    said = {endpoint: codes(cells[0]) for endpoint, cells in table("reference/api.md", "Endpoints").items()}
    served = {
        f"{method.upper()} {path.removeprefix('/api/enterprise')}": operation
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
        if method in ("get", "post", "put", "patch", "delete")
    }
    assert said.keys() == served.keys()
    for endpoint, scopes in said.items():
        assert scopes <= set(re.findall(r"[a-z]+:[a-z]+", str(served[endpoint]))), endpoint


@pytest.mark.django_db
def test_prices() -> None:
    assert table("reference/api.md", "Prices") == {
        model.name: [
            str(model.credits),
            str(model.base_seconds),
            ", ".join(map(str, model.seconds)),
            ", ".join(model.sizes),
        ]
        for model in catalogue(now=timezone.now()).models.values()
    }


def test_the_schedule_of_retries() -> None:
    lines = [line for line in section("howto/webhooks.md", "Retries").splitlines() if re.match(r"\| \d", line)]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    waits = [0, *RETRY_SCHEDULE_SECONDS]
    assert [int(row[0]) for row in rows] == list(range(1, MAX_ATTEMPTS + 1))
    assert [seconds(row[1]) for row in rows] == waits
    assert [seconds(row[2]) for row in rows] == [sum(waits[: n + 1]) for n in range(MAX_ATTEMPTS)]


def seconds(text: str) -> int:
    unit = {"s": 1, "min": 60, "h": 3600}
    return sum(int(number) * unit[name] for number, name in re.findall(r"(\d+) (s|min|h)\b", text))


# --- commands ------------------------------------------------------------------------------------------------------

OURS = sorted(name for name, app in get_commands().items() if app in APPS)


def test_every_command_is_documented() -> None:
    text = (DOCS / "reference/commands.md").read_text()
    assert sorted(set(re.findall(r"^## (\w+)$", text, re.M)) - {"Programs"}) == OURS


def test_every_program_is_documented() -> None:
    programs = {f"bin/{path.name}" for path in (ROOT / "bin").iterdir() if path.is_file()}
    assert table("reference/commands.md", "Programs").keys() == programs


@pytest.mark.parametrize("name", OURS)
def test_the_options_of_a_command(name: str) -> None:
    options = options_of(name)
    if name == "simulate_provider":
        said = table("reference/simulator.md", "Options")
    else:
        said = table("reference/commands.md", name) if options else {}
    assert said.keys() == options.keys()
    for option, action in options.items():
        if isinstance(action.default, int | float) and not isinstance(action.default, bool):
            assert f"`{action.default}`" in said[option][0], option
        assert (said[option][0] == "required") is action.required, option


def options_of(name: str) -> dict[str, Action]:
    """Return the command's own options."""
    command = load_command_class(get_commands()[name], name)
    everybodys = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback"}
    everybodys |= {"--no-color", "--force-color", "--skip-checks"}
    actions = command.create_parser("manage.py", name)._actions
    return {
        option: action
        for action in actions
        for option in action.option_strings
        if option.startswith("--") and option not in everybodys
    }


# --- decisions -----------------------------------------------------------------------------------------------------


def test_every_dependency_has_its_reason() -> None:
    named = re.compile(r"^([a-z][a-z0-9-]*)", re.M)
    listed = [set(named.findall((ROOT / f"{name}.in").read_text())) for name in ("requirements", "requirements-dev")]
    text = (DOCS / "decisions/0010-dependencies.md").read_text()
    said = set(re.findall(r"`([a-z][a-z0-9-]*)`", "".join(re.findall(r"^(\| `[^|]+)\|", text, re.M))))
    assert said == listed[0] | listed[1]


def test_the_base_modules_of_the_decision_are_at_the_bottom() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers: list[str] = contracts[0]["layers"]
    bottom = {
        module.strip() for layer in layers[layers.index("customers") + 1 :] for module in re.split(r"[|:]", layer)
    }
    text = (DOCS / "decisions/0002-layers.md").read_text()
    assert set(re.findall(r"`(sora2\.\w+)`", text)) <= bottom


def test_every_decision_says_status_context_decision_and_consequences() -> None:
    for page in sorted((DOCS / "decisions").glob("*.md")):
        text = page.read_text()
        at = [text.find(f"**{word}**") for word in ("Status", "Context", "Decision", "Consequences")]
        assert -1 not in at, page
        assert at == sorted(at), page


# --- all pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for target in links(page):
        name, _, fragment = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        assert not fragment or fragment in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_says_first_for_whom_it_is(page: Path) -> None:
    title, empty, audience, *_ = page.read_text().splitlines()
    assert title.startswith("# ")
    assert empty == ""
    assert re.match(r"\*For .", audience)


def test_every_page_is_in_the_index() -> None:
    found = {(DOCS / target).resolve() for target in links(DOCS / "README.md")}
    assert {page for page in DOCS.rglob("*.md") if page.name != "README.md"} <= found


def test_no_file_leads_out_of_the_project() -> None:
    """Neither by a relative path, nor by the place of this checkout."""
    upwards, here = (
        re.compile(r"(?<![\w./])(?:\.\./)+[A-Za-z_][\w.-]*"),
        re.compile(rf"(?<![\w./]){re.escape(str(ROOT))}\b"),
    )
    for path in text_files():
        text = path.read_text()
        assert not here.search(text), path
        for found in upwards.findall(text):
            target = (path.parent / found).resolve()
            assert target.is_relative_to(ROOT), f"{path}: {found}"
            assert target.exists(), f"{path}: {found}"


def text_files() -> list[Path]:
    """Return the files of the project that are text, its tests aside: they try to get out."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listed.stdout.splitlines() if not name.startswith("tests/")]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()]
