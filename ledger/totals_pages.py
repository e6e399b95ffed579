"""What explains a total over wallets: the wallets that it sums, now or at the end of a month."""

from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, Count, F, Func, OuterRef, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.http import Http404

from customers.access import Access
from ledger.intervals import Month, month_of
from ledger.models import Entry, PeriodBalance, Wallet
from ledger.pages import chosen_wallets, wallet_why_address
from ledger.reconciliation import at_one_moment
from ledger.why import ROWS_SHOWN, Row, Term, Why, listed
from ledger.why_pages import SENTENCES, statement_address
from sora2.pages import with_query


@dataclass(frozen=True)
class TotalsWhy:
    """A figure over wallets, explained: of how many, and at the end of which month, if not now."""

    why: Why
    wallets: int
    month: Month | None


@at_one_moment()
def totals_why(access: Access, *, mode: str, customer: str, month: str, figure: str) -> TotalsWhy:
    """Explain a figure over the wallets of a mode, now or at the end of a month such as 2026-10.

    Raises Http404 for what is no figure, NotAnInterval for what is no month.
    """
    if figure not in SENTENCES:
        raise Http404
    at = month_of(month) if month else None
    rows = chosen_wallets(access, mode=mode, customer=customer).annotate(
        stored=_figure_then(figure, at) if at else F(figure), made=_after_last_entry(figure, at)
    )
    sums = rows.aggregate(count=Count("pk"), stored_sum=Sum("stored", default=0), made_sum=Sum("made", default=0))
    # What is wrong comes first, then what is most.
    first = rows.annotate(differs=Func(F("stored"), F("made"), template="(%(expressions)s)", arg_joiner=" <> "))
    chosen = first.select_related("organization").order_by("-differs", "-stored", "organization__name", "pk")[
        :ROWS_SHOWN
    ]
    found = [_row_of_wallet(wallet, figure, at) for wallet in chosen]
    stored = int(sums["stored_sum"])
    shown, rest = listed(found, count=sums["count"], credits=stored, address=_wallet_list(mode, customer))
    # The rows say what is stored, as the total does; where entries say another, the row has the fault.
    term = Term("Wallets", stored, shown, rest)
    sentence = f"{SENTENCES[figure]} The sum of the wallets below."
    why = Why(figure.capitalize(), sentence, stored, (term,), broken=_unlisted_faults(shown, sums, at))
    return TotalsWhy(why, sums["count"], at)


def _after_last_entry(figure: str, at: Month | None) -> Any:
    """Return a figure after the last entry, now or of a month. One look-up in credit_ledger_seq_once a wallet."""
    seq: Any = OuterRef("last_seq")
    if at:
        seq = Func(OuterRef("pk"), Value(at.ends_at), function="ledger_seq_before", output_field=BigIntegerField())
    after = Entry.objects.filter(wallet=OuterRef("pk"), seq=seq).values(value=_sum_of(figure, "_after"))
    return Coalesce(Subquery(after, output_field=BigIntegerField()), 0)


def _figure_then(figure: str, at: Month) -> Any:
    """Return a figure as the month's close has kept it; of an open month, as the entries say it."""
    kept = PeriodBalance.objects.filter(wallet=OuterRef("pk"), period=at.month).values(value=_sum_of(figure, ""))
    return Coalesce(Subquery(kept, output_field=BigIntegerField()), _after_last_entry(figure, at))


def _sum_of(figure: str, suffix: str) -> Any:
    if figure == "funded":
        return F(f"available{suffix}") + F(f"reserved{suffix}") + F(f"settled{suffix}")
    return F(f"{figure}{suffix}")


def _row_of_wallet(wallet: Wallet, figure: str, at: Month | None) -> Row:
    stored, made = int(vars(wallet)["stored"]), int(vars(wallet)["made"])
    address = wallet_why_address(wallet.organization_id, wallet.mode, figure)
    if at:
        address = statement_address(wallet, month=at.month, tz=at.zone)
    fault = f"It says {stored:,}; after its last entry it is {made:,}." if stored != made else ""
    return Row(str(wallet.organization), stored, address, fault=fault)


def _unlisted_faults(shown: tuple[Row, ...], sums: dict[str, Any], at: Month | None) -> tuple[Row, ...]:
    """Say so when the entries of all wallets make another total, and no row that is listed is at fault."""
    stored, made = int(sums["stored_sum"]), int(sums["made_sum"])
    if stored == made or any(row.fault for row in shown):
        return ()
    when = f"at the end of {at.name}" if at else "now"
    return (Row("All wallets", stored, fault=f"After the last entries they hold {made:,} together {when}."),)


def _wallet_list(mode: str, customer: str) -> str:
    query = {"mode": mode, "customer": customer} if customer else {"mode": mode}
    return with_query("admin:wallet_list", **query)
