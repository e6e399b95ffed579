"""Our verbs, and the least of any ledger through the same Django: `python -m benchmarks.posting.ours DATABASE_URL`."""

import os
import sys

from benchmarks.posting.books import reference_of, wallet_of
from benchmarks.posting.worker import Verb, serve


def verbs() -> dict[str, Verb]:
    """Return what the workers of this module can do."""
    from django.db import connection, transaction

    from ledger import services

    def movement(number: int, account: int) -> services.Movement:
        return services.Movement(
            wallet_id=wallet_of(account), reference=reference_of(number), actor="system", request_id="order-123456"
        )

    def reserve(number: int, account: int) -> None:
        services.reserve(movement=movement(number, account), amount=5)

    def cycle(number: int, account: int) -> None:
        about = movement(number, account)
        services.reserve(movement=about, amount=5)
        services.settle(movement=about, amount=4)
        services.refund(movement=about, amount=1)

    def least(number: int, account: int) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE plain_account SET balance = balance - %s WHERE id = %s", [5, account])
            cursor.execute(
                "INSERT INTO plain_entry (account_id, amount, reference) VALUES (%s, %s, %s) RETURNING id",
                [account, 5, reference_of(number)],
            )
            cursor.fetchone()

    return {"reserve": reserve, "cycle": cycle, "least": least}


if __name__ == "__main__":
    os.environ["DATABASE_URL"] = sys.argv[1]
    import django

    django.setup()
    serve(verbs())
