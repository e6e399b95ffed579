"""The list of batches as CSV: RFC 4180, made by PostgreSQL's COPY and streamed as it comes."""

from collections.abc import Iterator, Mapping

from batches.list_pages import Wanted, chosen_batches
from customers.access import Access, Permission
from customers.services import audit
from ledger.exports.csv_copy import guarded, instant, rows_as_sent
from sora2.times import timestamp

# The columns, and what makes each of READ. Texts that somebody chose get the guard of all our exports.
COLUMNS: Mapping[str, str] = {
    "batch_id": "id AS batch_id",
    "request_id": guarded("request_id"),
    "organization_id": "organization_id",
    "customer": guarded("organization__name", "customer"),
    "mode": "mode",
    "state": "state",
    "items": "total AS items",
    "succeeded": "succeeded",
    "failed": "failed",
    **{name: instant(name) for name in ("created_at", "started_at", "canceled_at", "finished_at", "deadline")},
    "created_via": "created_via",
    "created_by": "created_by",
    "retry_of": "retry_of_id AS retry_of",
    "price_version": guarded("price_version"),
}
# For those who may see credits: reserved = settled + refunded + held.
MONEY_COLUMNS: Mapping[str, str] = {
    "reserved": "credits AS reserved",
    "settled": "settled",
    "refunded": "refunded",
    "held": "credits - settled - refunded AS held",
}
READ = (
    *("id", "request_id", "organization_id", "organization__name", "mode", "state", "total", "succeeded", "failed"),
    *("created_at", "started_at", "canceled_at", "finished_at", "deadline", "created_via", "created_by"),
    *("retry_of_id", "price_version", "credits", "settled", "refunded"),
)
COPY = "COPY (SELECT {columns} FROM ({batches}) b ORDER BY id DESC) TO STDOUT (FORMAT csv, HEADER)"


def export(access: Access, *, wanted: Wanted) -> Iterator[bytes]:
    """Return the batches that somebody reaches and wants as a file, newest first; of our staff it is written down."""
    money = access.may(Permission.LEDGER_READ)
    if access.organization_ids is None:
        _audit(access, wanted, money=money)
    columns = {**COLUMNS, **(MONEY_COLUMNS if money else {})}
    batches, values = chosen_batches(access, wanted).order_by().values_list(*READ).query.sql_with_params()
    return rows_as_sent(COPY.format(columns=", ".join(columns.values()), batches=batches), values)


def _audit(access: Access, wanted: Wanted, *, money: bool) -> None:
    asked = {
        "state": wanted.state, "mode": wanted.mode, "customer": wanted.customer, "text": wanted.text,
        "custom_id": wanted.custom_id, "from": timestamp(wanted.starts_at), "until": timestamp(wanted.ends_at),
        "picked": list(wanted.picked),
    }  # fmt: skip
    audit(
        actor=access.actor,
        action="batch.export",
        detail={"filters": {name: value for name, value in asked.items() if value}, "credits": money},
    )
