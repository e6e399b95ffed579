"""What exporting the books costs: rows a second and peak memory, for few entries and for many.

The baseline of `ledger.csv` is psycopg's own `COPY … TO STDOUT` of the same columns of the same rows, read row by row
on the same connection, in turns with it; figures are medians. Memory is the peak of a process of its own that does
nothing but export; `--formats csv,xlsx,beancount` measures that of the others too.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.database import own_database

# Batches of 100 credits, of which 90 are settled: the figures of real entries. Posting them would take the trigger ten
# times as long, and an export looks at neither balances nor chain, so they are written past it.
FILL = """
    INSERT INTO credit_ledger (entry_id, wallet_id, seq, created_at, kind, amount, available_after, reserved_after,
                               settled_after, reference, request_id, actor, reason, prev_hash, hash)
    SELECT 'led_' || substr(md5(n::text), 1, 26), %s, n, '2026-01-01Z'::timestamptz + n * interval '7.000013 seconds',
           (ARRAY['reserve', 'settle', 'refund'])[1 + n %% 3], (ARRAY[100, 90, 10])[1 + n %% 3], 10000000000 - 30 * n,
           (ARRAY[100, 10, 0])[1 + n %% 3], 30 * n, 'bat_' || substr(md5((n / 3)::text), 1, 26), 'order-' || n / 3,
           'key_01kadf7q2m3n4p5r6s7t8v9w0x', '', encode(sha256(convert_to((n - 1)::text, 'UTF8')), 'hex'),
           encode(sha256(convert_to(n::text, 'UTF8')), 'hex')
    FROM generate_series(1, %s) n
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--formats", default="csv", help="whose memory is measured, such as csv,xlsx,beancount")
    parser.add_argument("--alone", nargs=2, metavar=("FORMAT", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        export_alone(options.alone[0], int(options.alone[1]))
        return
    with own_database():
        fill(options.rows)
        compare(options.rows, options.turns)
        print(f"\n{'format':<10}{'rows':>10}{'rows/s':>10}{'MB':>8}{'peak MB':>10}{'of it before':>14}")
        for file_format in options.formats.split(","):
            for rows in (options.few, options.rows):
                command = [sys.executable, "-m", "benchmarks.export", "--alone", file_format, str(rows)]
                print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="", flush=True)


def fill(rows: int) -> None:
    """Write so many entries into one wallet."""
    from django.db import connection

    from customers.models import Mode, Organization
    from ledger.services import open_wallets

    started = time.perf_counter()
    wallet = open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.LIVE]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE credit_ledger DISABLE TRIGGER ALL")
        cursor.execute(FILL, [wallet.pk, rows])
        cursor.execute("VACUUM ANALYZE credit_ledger")
    print(f"{rows} entries written in {time.perf_counter() - started:.0f} s\n")


def compare(rows: int, turns: int) -> None:
    """Print the rows a second of `ledger.csv` beside those of the bare COPY."""
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(turns):
        bare.append(seconds_of(bare_copy))
        ours.append(seconds_of(our_csv))
    fast, slow = rows / statistics.median(bare), rows / statistics.median(ours)
    print(f"{'':<22}{'rows/s':>10}{'ratio':>8}")
    print(f"{'psycopg COPY':<22}{fast:>10.0f}{1:>8.2f}\n{'ledger.csv':<22}{slow:>10.0f}{slow / fast:>8.2f}")


def seconds_of(work: Callable[[], object]) -> float:
    """Do the work, and return how long it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def bare_copy() -> None:
    """Read the same columns as psycopg brings them."""
    from django.db import connection

    from ledger.exports.csv_copy import COLUMNS
    from ledger.models import Wallet

    wallet = Wallet.objects.get(mode="live")
    query = (
        f"COPY (SELECT {', '.join(COLUMNS)} FROM credit_ledger WHERE wallet_id = '{wallet.pk}' ORDER BY seq) TO STDOUT"
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for _ in copy:
            pass


def our_csv() -> None:
    """Make the file, block by block."""
    from ledger.exports.formats import CSV
    from ledger.exports.selection import Selection
    from ledger.models import Wallet

    for _ in CSV.blocks(Selection(wallet=Wallet.objects.get(mode="live")).fixed()):
        pass


def export_alone(ending: str, rows: int) -> None:
    """Export the first entries in this process, and print its figures."""
    import django

    django.setup()
    from ledger.exports.formats import FORMATS
    from ledger.exports.selection import Selected
    from ledger.models import Wallet

    wallet = Wallet.objects.get(mode="live")
    before, started, size = peak_megabytes(), time.perf_counter(), 0
    for block in FORMATS[ending].blocks(Selected(wallet, after=0, through=rows)):
        size += len(block)
    speed = rows / (time.perf_counter() - started)
    print(f"{ending:<10}{rows:>10}{speed:>10.0f}{size / 1e6:>8.0f}{peak_megabytes():>10.1f}{before:>14.1f}")


def peak_megabytes() -> float:
    """Return the most memory that this process has held (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
