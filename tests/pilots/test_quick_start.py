"""The quick start on the start page, run as it stands: in a shell, against a server."""

import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from batches.models import Batch
from customers.access import Permission
from customers.models import Mode
from customers.services import create_api_key
from sora2.calls import KEYS
from tests.commands import SUMMARY
from tests.factories import Account, end_batch, make_account
from tests.people import member, words_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account(transactional_db: Any) -> Account:
    """A new organization with credits, seen by the server too."""
    return make_account()


def shown(account: Account, mode: Mode) -> tuple[str, str, str]:
    """Return the line that names the key, the command that orders, and the one that follows the batch."""
    page = member(account.organization, "customer developer").get("/admin/", {"mode": mode.value}).content.decode()
    page = page.partition(SUMMARY)[0]
    export, order, follow = re.findall(r"<pre[^>]*>((?:export|curl|BATCH).*?)</pre>", page, re.DOTALL)
    assert [unescape(each) for each in re.findall(r'data-copy="((?:curl|BATCH)[^"]*)"', page)] == [
        unescape(order),
        unescape(follow),
    ]
    return unescape(export), unescape(order), unescape(follow)


def run(*commands: str, directory: Path) -> str:
    script = "set -eu\n" + "\n".join(commands)
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("mode", list(Mode))
def test_the_commands_order_a_batch_and_follow_it_to_its_end(
    account: Account, live_server: LiveServer, settings: Settings, tmp_path: Path, mode: Mode
) -> None:
    settings.PUBLIC_BASE_URL = live_server.url
    export, order, follow = shown(account, mode)
    assert export == f"export {KEYS[mode]}=…"
    export = export.replace("…", account.secrets[mode], 1)
    answer = json.loads(run(export, order, directory=tmp_path))
    batch = Batch.objects.get()
    assert (answer["batch_id"], batch.total, batch.mode) == (batch.pk, 10, mode)
    assert len(set(batch.items.values_list("custom_id", flat=True))) == 10
    assert json.loads(run(export, order, directory=tmp_path))["batch_id"] == batch.pk
    end_batch(batch)
    assert json.loads(run(export, follow, directory=tmp_path))["state"] == "completed"


def test_the_key_that_is_named_can_do_what_the_commands_do(account: Account) -> None:
    create_api_key(
        organization=account.organization, mode=Mode.LIVE, name="Reads the books", scopes=[Permission.LEDGER_READ]
    )
    page = words_of(member(account.organization, "customer developer").get("/admin/"))
    assert "Reads the books" not in page
    assert "Put the secret of your key “Live”" in page


@pytest.mark.owner
def test_a_customer_of_smaller_batches_is_shown_one_that_fits(account: Account) -> None:
    account.organization.max_items_per_batch = 2
    account.organization.save()
    _, order, _ = shown(account, Mode.LIVE)
    assert order.count('"prompt"') == 2
