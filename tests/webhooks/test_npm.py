"""The official library for Node verifies what we sign, and nothing else."""

import json
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.programs import NODE_MODULES, node
from webhooks import signing

BODY = '{"event": "batch.completed", "request_id": "größe 🎬 \\u2028", "note": "\\"</script>"}'

# Reads a list of messages, answers what the library says of each.
VERIFY = """
const { Webhook } = require("standardwebhooks");
const said = ({ secret, headers, body }) => {
  try {
    return { content: new Webhook(secret).verify(Buffer.from(body, "utf8"), headers) };
  } catch (error) {
    return { error: error.message };
  }
};
const messages = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(messages.map(said)));
"""


def verified(*messages: dict[str, Any]) -> list[Any]:
    """Return what the library says of each message: its content, or the words of the error."""
    run = subprocess.run(
        [node(), "-e", VERIFY],
        cwd=NODE_MODULES.parent,
        input=json.dumps(messages),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return [answer.get("content", answer.get("error")) for answer in json.loads(run.stdout)]


def message(*secrets: str, known: str | None = None, body: str = BODY, ago: timedelta = timedelta()) -> dict[str, Any]:
    """Return a message signed with these secrets, for who knows the first of them or another one."""
    at = datetime.now(UTC) - ago
    headers = signing.signature_headers(event_id="evt_1", body=body, secrets=secrets, at=at)
    return {"secret": known or secrets[0], "headers": headers, "body": body}


def test_what_we_sign_verifies() -> None:
    secret = signing.new_secret()
    first, again = message(secret, ago=timedelta(minutes=4)), message(secret)
    assert first["headers"]["webhook-id"] == again["headers"]["webhook-id"]
    assert first["headers"]["webhook-signature"] != again["headers"]["webhook-signature"]
    assert verified(first, again) == [json.loads(BODY)] * 2


def test_while_a_secret_rotates_either_verifies() -> None:
    new, old = signing.new_secret(), signing.new_secret()
    stranger = message(new, old, known=signing.new_secret())
    answers = verified(message(new, old, known=new), message(new, old, known=old), stranger)
    assert answers == [json.loads(BODY), json.loads(BODY), "No matching signature found"]


@pytest.mark.parametrize("body", ["{}", '{"a": "é"}', json.dumps({"a": "é🎬"}), "[1.0, 1e2,  2]", '"\u2029\x7f"'])
def test_any_body_verifies(body: str) -> None:
    assert verified(message(signing.new_secret(), body=body)) == [json.loads(body)]


def test_what_was_changed_does_not() -> None:
    right = message(signing.new_secret())
    headers = right["headers"]
    changed = (
        {"body": BODY.replace("completed", "canceled")},
        {"body": BODY.replace(", ", ",")},
        {"body": BODY + "\n"},
        {"headers": headers | {"webhook-id": "evt_2"}},
        {"headers": headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}},
        {"headers": headers | {"webhook-signature": "v1," + "A" * 43 + "="}},
        {"secret": signing.new_secret()},
    )
    answers = verified(right, *[right | change for change in changed])
    assert answers == [json.loads(BODY), *["No matching signature found"] * len(changed)]


def test_what_is_old_or_of_the_future_does_not() -> None:
    secret = signing.new_secret()
    old, future = (message(secret, ago=timedelta(minutes=minutes)) for minutes in (6, -6))
    assert verified(old, future) == ["Message timestamp too old", "Message timestamp too new"]


def test_both_libraries_and_our_own_check_say_the_same() -> None:
    right = message(signing.new_secret())
    messages = [right, right | {"body": "{}"}, right | {"secret": signing.new_secret()}]
    assert [isinstance(answer, dict) for answer in verified(*messages)] == [not fault for fault in faults(messages)]


def faults(messages: Sequence[dict[str, Any]]) -> list[str]:
    return [
        signing.verify(secrets=[each["secret"]], headers=each["headers"], body=each["body"].encode())
        for each in messages
    ]


def test_the_lock_says_what_is_installed_and_not_from_where() -> None:
    lock = json.loads((NODE_MODULES.parent / "package-lock.json").read_text())
    wanted = json.loads((NODE_MODULES.parent / "package.json").read_text())["dependencies"]
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert packages["node_modules/standardwebhooks"]["version"] == wanted["standardwebhooks"]
    assert all(re.match("sha512-", package["integrity"]) for package in packages.values())
    assert not any("resolved" in package for package in packages.values())
