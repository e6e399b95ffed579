"""Verifying a proof where it stands: the browser computes all of it anew, and says which check fails."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from batches.failures import FailureType
from batches.models import Batch
from sora2.canonical import canonical_json, sha256_hex
from tests.browser.conftest import SignIn
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff

pytestmark = pytest.mark.django_db(transaction=True)


SEALED = (
    *("wallet_id", "seq", "entry_id", "created_at", "kind", "amount", "available_after", "reserved_after"),
    *("settled_after", "reference", "request_id", "actor", "reason"),
)


@pytest.fixture
def account(transactional_db: Any) -> Account:
    """A new organization with credits, seen by the server too."""
    return make_account()


@pytest.fixture
def batch(account: Account) -> Batch:
    """A batch of three, ordered by a request id that is no ASCII, with one failure."""
    return end_batch(make_batch(account.api, 3, request_id="Größe-1"), failed={1: FailureType.TIMEOUT})


def altered(page: Page, ending: str, change: Callable[[str], str]) -> None:
    """Let the server's answer at an address be changed on its way."""

    def answer(route: Route) -> None:
        fetched = route.fetch()
        route.fulfill(response=fetched, body=change(fetched.body().decode()))

    page.route(re.compile(f"{ending}$"), answer)


def verified(page: Page, batch: Batch) -> Locator:
    """Press the button, and return what is said."""
    page.goto(f"/admin/batches/{batch.pk}/billing")
    page.get_by_role("button", name="Verify here").click()
    result = page.locator("#verify-result")
    expect(result).not_to_have_text(re.compile("^(Verifying …)?$"))
    return result


def failing(result: Locator) -> list[str]:
    return result.locator("li:has(.bad) b").all_text_contents()


def test_a_good_proof_holds_and_each_check_is_named(batch: Batch, sign_in: SignIn) -> None:
    page = sign_in(member(batch.organization))
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    result = verified(page, batch)
    expect(result).to_contain_text(re.compile(r"✓ Verified in your browser at \d\d:\d\d:\d\d UTC: every check holds."))
    assert failing(result) == []
    expect(result).to_contain_text("✓ The webhook batch.completed carries the same SHA-256.")
    expect(result).to_contain_text("✓ The equation Reserved 30 = settled 20 + refunded 10.")
    expect(result.get_by_text("its hash is that of its sealed fields")).to_have_count(3)
    expect(result).to_contain_text("✓ Items, settled The credits of items that succeeded add up to 20.")
    expect(result.locator("li")).to_have_count(18)
    assert len(hosts) == 1


def other_amount(text: str) -> str:
    proof = json.loads(text)
    proof["entries"][1]["amount"] += 1
    return canonical_json(proof)


def other_amount_sealed_anew(text: str) -> str:
    """Change an entry, and give it a hash that fits: its successor and the totals still say so."""
    proof = json.loads(text)
    entry = proof["entries"][1]
    entry["amount"] += 1
    entry["hash"] = sha256_hex(entry["prev_hash"] + "".join(sha256_hex(str(entry[name])) for name in SEALED))
    return canonical_json(proof)


def other_credits(text: str) -> str:
    return text.replace('"credits":10', '"credits":11', 1)


def one_item_less(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


CHANGED_PROOF = ["The proof", "The webhook"]


@pytest.mark.parametrize(
    ("ending", "change", "wrong"),
    [
        ("/proof", lambda text: text.replace("{", "{ ", 1), CHANGED_PROOF),
        ("/proof", other_amount, [*CHANGED_PROOF, "Entry 3", "Entries, settled"]),
        ("/proof", other_amount_sealed_anew, [*CHANGED_PROOF, "Entry 4", "Entries, settled"]),
        ("items.jsonl", other_credits, ["items.jsonl", "Items, settled", "Items, reserved"]),
        (
            "items.jsonl",
            one_item_less,
            ["items.jsonl", "Number of items", "Items, settled", "Items, reserved"],
        ),
    ],
    ids=["a byte", "an amount", "an amount sealed anew", "credits of an item", "an item"],
)
def test_what_was_changed_fails_exactly_its_checks(
    batch: Batch, sign_in: SignIn, ending: str, change: Callable[[str], str], wrong: list[str]
) -> None:
    page = sign_in(staff())
    altered(page, ending, change)
    result = verified(page, batch)
    assert failing(result) == wrong
    expect(result).to_contain_text(f"✕ Not verified: {len(wrong)} of 18 checks do not hold")
    expect(result).to_contain_text("Do not sign off")


def test_what_is_no_proof_is_said(batch: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff())
    for body, said in (
        ("<html>", "The proof is not what was written: it is no JSON in UTF-8."),
        ("{}", "The proof is not what was written: parts of it are missing."),
    ):
        altered(page, "/proof", lambda _, body=body: body)  # type: ignore[misc]
        expect(verified(page, batch)).to_have_text(f"✕ Not verified. {said}")


def test_whoever_was_signed_out_is_told(batch: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff())
    page.goto(f"/admin/batches/{batch.pk}/billing")
    page.context.clear_cookies()
    page.get_by_role("button", name="Verify here").click()
    expect(page.locator("#verify-result")).to_have_text(
        "✕ Not verified. You are signed out. Sign in again, and come back here."
    )


def test_without_cryptography_or_scripts_it_says_what_to_do(batch: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff())
    page.add_init_script("delete Crypto.prototype.subtle")
    page.goto(f"/admin/batches/{batch.pk}/billing")
    expect(page.get_by_text("only on a page that came over https://")).to_be_visible()
    expect(page.get_by_role("button", name="Verify here")).to_be_hidden()
    plain = sign_in(member(batch.organization), java_script_enabled=False)
    plain.goto(f"/admin/batches/{batch.pk}/billing")
    expect(plain.get_by_role("button", name="Verify here")).to_be_hidden()
    expect(plain.get_by_text("python3 verify_ledger.py proof")).to_be_visible()
