"""What the documentation shows works: its programs are run, its examples compared with what the system makes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from batches import proofs, stopping
from batches.alerts import low_credits_event
from batches.models import Batch, Proof
from customers.models import Mode
from ledger.models import Entry, Wallet
from ledger.representations import entry_json
from pilots.management.commands.rehearse_pilot import TABLE
from tests.batches.engine import customer_with, submit
from tests.sora2.documents import DOCS, ROOT, blocks
from webhooks.signing import new_secret, signature_headers

# --- webhooks ------------------------------------------------------------------------------------------------------

BODY = '{"event": "batch.completed", "request_id": "größe"}'


def defined(page: str, heading: str, name: str) -> Callable[..., Any]:
    """Return the function `name` that a code block of a page defines."""
    for block in blocks(page, heading, "python"):
        space: dict[str, Any] = {}
        exec(block, space)  # noqa: S102 - our own documentation.
        if name in space:
            function: Callable[..., Any] = space[name]
            return function
    raise AssertionError(f"{page} defines no {name}")


def test_both_ways_to_verify_a_webhook() -> None:
    by_library, by_hand = (defined("howto/webhooks.md", "Verify", name) for name in ("event_of", "is_signed"))
    old, new, other = new_secret(), new_secret(), new_secret()
    headers = signature_headers(event_id="evt_1", body=BODY, secrets=[old, new], at=timezone.now())
    for secret in (old, new):
        assert by_library(secret, headers, BODY.encode()) == json.loads(BODY)
        assert by_hand(secret, headers, BODY.encode())
    for secret, body in ((other, BODY), (old, BODY.replace("batch", "match"))):
        assert not by_hand(secret, headers, body.encode())
        with pytest.raises(WebhookVerificationError):
            by_library(secret, headers, body.encode())
    assert not by_hand(old, {**headers, "webhook-timestamp": "1700000000"}, BODY.encode())


def test_the_body_of_batch_completed_is_the_documented_one() -> None:
    (shown,) = blocks("reference/events.md", "batch.completed", "json")
    batch = Batch(
        request_id="order-123", state="partial", mode=Mode.LIVE, total=10, succeeded=9, failed=1,
        credits=100, settled=90, refunded=10, finished_at=timezone.now(),
    )  # fmt: skip
    sent = json.loads(proofs.completed_event(batch=batch, proof=Proof(sha256="0" * 64), event_id="evt_1"))
    assert keys(json.loads(shown)) == keys(sent)
    for name in ("event", "request_id", "summary", "ledger", "livemode", "status", "state"):
        assert json.loads(shown)[name] == sent[name]


def test_the_body_of_credits_low_is_the_documented_one() -> None:
    (shown,) = blocks("reference/events.md", "credits.low", "json")
    at = timezone.now()
    wallet = Wallet(organization_id="org_1", mode=Mode.LIVE, available=90, low_threshold=100, low_since=at)
    sent = json.loads(low_credits_event(wallet=wallet, event_id="evt_1", now=at))
    assert keys(json.loads(shown)) == keys(sent)
    for name in ("event", "available", "threshold", "livemode"):
        assert json.loads(shown)[name] == sent[name]


def keys(value: dict[str, Any]) -> list[Any]:
    """Return the keys in their order, those of objects with what is in them."""
    return [(name, keys(inner)) if isinstance(inner, dict) else name for name, inner in value.items()]


# --- money ---------------------------------------------------------------------------------------------------------


def run_hashes(tmp_path: Path, said: object) -> subprocess.CompletedProcess[str]:
    """Run the documented program on what an answer says."""
    (program,) = blocks("enterprise/reconciliation.md", "Check the hashes yourself", "python")
    assert program.count("\n") <= 25
    (tmp_path / "hashes.py").write_text(program)
    (tmp_path / "said.json").write_text(json.dumps(said))
    command = [sys.executable, "hashes.py", "said.json"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


@pytest.mark.django_db
def test_the_documented_program_checks_hashes(tmp_path: Path) -> None:
    customer = customer_with(100)
    batch = submit(customer, ["a", "b"])
    stopping.cancel(batch=batch, actor="key_test", now=timezone.now())
    entries = [entry_json(entry) for entry in Entry.objects.order_by("seq")]
    whole = run_hashes(tmp_path, {"data": entries[::-1]})
    assert whole.stdout == f"3 entries, 1 to 3: every hash fits, head {entries[-1]['hash']}\n", whole.stderr
    proof = run_hashes(tmp_path, json.loads(Proof.objects.get(batch=batch).body))
    assert proof.stdout.startswith("2 entries, 2 to 3: every hash fits")
    changed = run_hashes(tmp_path, {"data": [*entries[:2], {**entries[2], "amount": 21}]})
    assert (changed.returncode, changed.stderr) == (1, "entry 3: its content does not fit its hash\n")


# --- words ---------------------------------------------------------------------------------------------------------


def test_the_readme_shows_what_the_demo_prints() -> None:
    printed = TABLE.format(reserved=100, settled=90, refunded=10).strip("\n")
    assert f"```\n{printed}\n```" in (ROOT / "README.md").read_text()


def test_the_pilot_boundary_statement_is_verbatim() -> None:
    statement = (
        "This pilot runs on a best-effort basis with prepaid credits.\n"
        "Failed items are automatically refunded.\n"
        "No SLA is included at this stage.\n"
    )
    for page in ("howto/pilot.md", "enterprise/pilot.md"):
        assert f"```\n{statement}```" in (DOCS / page).read_text()
