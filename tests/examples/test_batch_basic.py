"""The example for each language goes through the loop against a running system, and says so when something is wrong."""

import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.examples.between import between
from tests.flows.system import ROOT, System, running
from tests.programs import EXAMPLE_MODULES, node, program
from tests.webhooks.receivers import free_port
from webhooks.signing import new_secret, signature_headers

pytestmark = pytest.mark.stack

HAPPY = r"""3 × sora-2, 4 s, at 10 credits: 30
quote: 30 credits, 100 are available
bat_\w{26} accepted: 30 credits are frozen
(?:\w+: \d of 3 ended, \d succeeded, 0 failed\n)*succeeded: 3 of 3 ended, 3 succeeded, 0 failed
webhook batch\.completed is genuine: evt_\w{26}
reserved 30 = settled 30 \+ refunded 0
every check held: API, webhook and proof say the same
"""


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running() as system:
        yield system


@pytest.fixture(scope="module")
def pilot(system: System) -> dict[str, Any]:
    """A pilot with credits for all tests that do not look at the wallet."""
    return system.provision(credits=1000)


@pytest.fixture(params=["node", "python"])
def command(request: pytest.FixtureRequest) -> list[str]:
    """How the example for a language is started."""
    if request.param == "python":
        return [sys.executable, str(ROOT / "examples/python/batch_basic.py")]
    node(EXAMPLE_MODULES)
    return [str(EXAMPLE_MODULES / ".bin/tsx"), str(ROOT / "examples/node/batch_basic.ts")]


def settings(system: System, pilot: Mapping[str, Any], **more: object) -> dict[str, str]:
    """Return the environment of an example."""
    own = {
        "SORA2_URL": system.url,
        "SORA2_API_KEY": pilot["api_key"],
        "SORA2_WEBHOOK_SECRET": pilot["default_webhook_secret"],
        **{name: str(value) for name, value in more.items()},
    }
    return {**os.environ, **own}


def run(command: list[str], environment: Mapping[str, str], *prompts: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *prompts], env=environment, capture_output=True, text=True, timeout=120)


def test_the_loop_ends_well_and_shows_every_step(system: System, command: list[str]) -> None:
    done = run(command, settings(system, system.provision(credits=100)))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(HAPPY, done.stdout), done.stdout


@pytest.mark.long
def test_a_later_node_runs_it_as_it_is(system: System) -> None:
    run_by_npx = [program("npx", package="npm"), "--yes", "-p", "node@22", "node", "examples/node/batch_basic.ts"]
    environment = settings(system, system.provision(credits=100))
    done = subprocess.run(run_by_npx, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(HAPPY, done.stdout), done.stdout


def test_an_item_that_fails_is_refunded_and_all_is_well(
    system: System, pilot: dict[str, Any], command: list[str]
) -> None:
    done = run(command, settings(system, pilot), "a cat", "[[fail:content_refused]]")
    assert done.returncode == 0, done.stderr
    assert "partial: 2 of 2 ended, 1 succeeded, 1 failed\n" in done.stdout
    assert "reserved 20 = settled 10 + refunded 10\n" in done.stdout


def test_a_webhook_that_another_secret_signed_is_not_taken(
    system: System, pilot: dict[str, Any], command: list[str]
) -> None:
    environment = settings(system, pilot, SORA2_WEBHOOK_SECRET=new_secret())
    done = run(command, environment, "a cat")
    assert done.returncode == 1
    assert done.stderr.startswith("the webhook is not genuine: ")
    assert "Is SORA2_WEBHOOK_SECRET the secret" in done.stderr


def test_a_webhook_whose_figures_were_changed_is_not_taken(
    system: System, pilot: dict[str, Any], command: list[str]
) -> None:
    port = free_port()
    changed: list[bytes] = []

    def double(body: bytes) -> bytes:
        changed.append(re.sub(rb'("settled": ?)10\b', rb"\g<1>20", body))
        assert changed[-1] != body
        return changed[-1]

    with between(f"http://127.0.0.1:{port}", request=double) as url:
        more = {"SORA2_WEBHOOK_PORT": port, "SORA2_WEBHOOK_URL": f"{url}/"}
        done = run(command, settings(system, pilot, **more), "a cat")
    assert changed
    assert done.returncode == 1
    assert done.stderr.startswith("the webhook is not genuine: ")


@pytest.mark.parametrize(
    ("others", "ago", "status", "said"),
    [
        (1, timedelta(minutes=4), 0, ""),
        (0, timedelta(minutes=6), 1, "imestamp"),
        (0, -timedelta(minutes=6), 1, "imestamp"),
    ],
    ids=["rotating", "old", "of the future"],
)
def test_one_of_several_signatures_is_enough_but_not_at_another_time(
    system: System,
    pilot: dict[str, Any],
    command: list[str],
    others: int,
    ago: timedelta,
    status: int,
    said: str,
) -> None:
    port, at = free_port(), datetime.now(UTC) - ago
    secrets = [*(new_secret() for _ in range(others)), pilot["default_webhook_secret"]]

    def signed(body: bytes) -> dict[str, str]:
        return signature_headers(event_id="evt_1", body=body.decode(), secrets=secrets, at=at)

    with between(f"http://127.0.0.1:{port}", headers=signed) as url:
        more = {"SORA2_WEBHOOK_PORT": port, "SORA2_WEBHOOK_URL": f"{url}/"}
        done = run(command, settings(system, pilot, **more), "a cat")
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("path", "pattern", "instead", "said"),
    [
        (r"bat_\w+", rb'("settled": ?)10\b', rb"\g<1>11", "settled of the API, and of the webhook: 11 is not 10"),
        (r"bat_\w+", rb'("settled": ?)10\b', rb"\g<1>11", "reserved, and settled + refunded: 10 is not 11"),
        (r"proof", rb"$", b" ", "SHA-256 of the proof, and in the webhook: "),
        (r"quote", rb'("ok": ?true, ?"credits": ?)10\b', rb"\g<1>12", "reserved, and the quote: 10 is not 12"),
    ],
    ids=["webhook", "sum", "proof", "quote"],
)
def test_books_that_do_not_agree_are_named(
    system: System, pilot: dict[str, Any], command: list[str], path: str, pattern: bytes, instead: bytes, said: str
) -> None:
    def lie(_method: str, asked: str, body: bytes) -> bytes:
        return re.sub(pattern, instead, body, count=1) if re.search(rf"/{path}$", asked) else body

    with between(system.url, answer=lie) as url:
        done = run(command, settings(system, pilot, SORA2_URL=url), "a cat")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("the books do not agree:\n")
    assert said in done.stderr


def test_an_answer_that_is_lost_makes_no_second_batch(
    system: System, pilot: dict[str, Any], command: list[str]
) -> None:
    lost: list[bytes] = []

    def lose(method: str, path: str, body: bytes) -> bytes | None:
        if (method, path) == ("POST", "/api/enterprise/video-batch") and not lost:
            lost.append(body)
            return None
        return body

    with between(system.url, answer=lose) as url:
        done = run(command, settings(system, pilot, SORA2_URL=url), "a cat")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lost
    assert "trying again in 1 s" in done.stderr
    made = json.loads(lost[0])["batch_id"]
    assert f"{made} accepted" in done.stdout


def test_a_wrong_key_is_refused_in_the_words_of_the_api(
    system: System, pilot: dict[str, Any], command: list[str]
) -> None:
    done = run(command, settings(system, pilot, SORA2_API_KEY="s2_live_nonsense"))
    answer = requests.get(f"{system.url}/api/enterprise/wallet", timeout=30).json()
    assert done.returncode == 3
    assert re.match(r"refused, 401 invalid_api_key: .+ \(trace id trc_\w{26}\)\n", done.stderr)
    assert answer["detail"] in done.stderr


def test_every_fault_is_shown_with_its_place(system: System, pilot: dict[str, Any], command: list[str]) -> None:
    environment = settings(system, pilot, SORA2_WEBHOOK_URL="http://example.com/")
    done = run(command, environment)
    assert done.returncode == 3
    assert "refused, 422 validation_error: " in done.stderr
    assert "\n  /webhook_url: The address must begin with https://.\n" in done.stderr


def test_too_few_credits_are_told(system: System, command: list[str]) -> None:
    done = run(command, settings(system, system.provision(credits=20)))
    assert done.returncode == 3
    assert "quote: 30 credits, 20 are available\n" in done.stdout
    assert "refused, 402 insufficient_credits: " in done.stderr


def test_patience_ends_and_says_that_the_batch_goes_on(
    system: System, pilot: dict[str, Any], command: list[str]
) -> None:
    environment = settings(system, pilot, SORA2_PATIENCE_SECONDS=1)
    done = run(command, environment, "[[hang]]")
    assert done.returncode == 4
    assert "has not ended yet. It goes on" in done.stderr


def test_ctrl_c_ends_it_at_once(system: System, pilot: dict[str, Any], command: list[str]) -> None:
    environment = settings(system, pilot)
    process = subprocess.Popen(
        [*command, "[[hang]]"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job, such as this run may be, ignores it.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout
    assert any("accepted" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == "\nstopped. An accepted batch goes on, and its webhook is sent again for three days.\n"


def test_a_port_that_is_taken_is_named(system: System, pilot: dict[str, Any], command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(command, settings(system, pilot, SORA2_WEBHOOK_PORT=taken.getsockname()[1]))
    assert done.returncode == 2
    assert done.stderr.startswith("SORA2_WEBHOOK_PORT: ")


def test_what_is_not_set_is_named(command: list[str]) -> None:
    done = run(command, {name: value for name, value in os.environ.items() if not name.startswith("SORA2_")})
    assert (done.returncode, done.stderr) == (2, "Set SORA2_URL: README.md says to what.\n")
