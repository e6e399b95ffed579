"""Grant credits that two people have agreed on."""

import json
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from customers.access import Permission
from customers.models import Mode, User
from ledger.approvals import grant_by_two
from ledger.invoices.amounts import parse_amount
from ledger.invoices.faults import InvalidMoney
from ledger.models import Entry, Wallet
from ledger.packages import LIST_PRICE
from ledger.representations import entry_json
from ledger.services import LedgerError


class Command(BaseCommand):
    help = "Grant credits to a customer's live wallet: one asks, another approves, at once. A reference grants once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG_ID", help="the customer's id, org_…")
        parser.add_argument("credits", metavar="N", help="a positive whole number")
        parser.add_argument("--reference", required=True, help="what it comes from, such as an invoice's number")
        parser.add_argument("--reason", required=True, help="it stands in the ledger, and the customer reads it")
        parser.add_argument("--by", required=True, help="who asks: a username, or a usr_ id")
        parser.add_argument("--approved-by", required=True, help="who approves: another person")
        parser.add_argument("--evidence", default="", help="a link to the invoice, the contract or the ticket")
        parser.add_argument(
            "--paid", metavar="AMOUNT", default="", help="what was paid, in USD net of tax; without it: promotional"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        wallet, amount = _wallet(options["organization"]), _amount(options["credits"])
        asks = _person(options["by"], Permission.CREDITS_REQUEST)
        decides = _person(options["approved_by"], Permission.CREDITS_APPROVE)
        paid = _paid_cents(options["paid"])
        try:
            entry, granted = grant_by_two(
                wallet=wallet,
                amount=amount,
                reference=options["reference"].strip(),
                reason=options["reason"].strip(),
                evidence_url=options["evidence"].strip(),
                paid_cents=paid,
                requested_by=asks,
                approved_by=decides,
            )
        except LedgerError as error:
            raise CommandError(f"Nothing was granted. {error}") from error
        self.stdout.write(json.dumps(_as_json(entry, granted)) if options["json"] else _as_text(entry, granted))


def _wallet(organization_id: str) -> Wallet:
    wallet = Wallet.objects.filter(organization_id=organization_id, mode=Mode.LIVE).first()
    if wallet is None:
        raise CommandError(f"There is no customer {organization_id!r} with a live wallet.")
    return wallet


def _amount(text: str) -> int:
    if not re.fullmatch("[0-9]{1,19}", text) or not int(text):
        raise CommandError(f"Credits are a positive whole number, not {text!r}.")
    return int(text)


def _paid_cents(text: str) -> int:
    try:
        return parse_amount(text, LIST_PRICE.currency) if text else 0
    except InvalidMoney as error:
        raise CommandError(str(error)) from error


def _person(name: str, permission: Permission) -> User:
    """Return an active member of staff who has this permission."""
    person = User.objects.filter(pk=name).first() or User.objects.filter(username=name).first()
    if person is None:
        raise CommandError(f"There is no user {name!r}.")
    if not (person.is_active and person.is_staff):
        raise CommandError(f"{name!r} is not an active member of our staff.")
    if not person.access().may(permission):
        raise CommandError(f"{name!r} lacks the permission {permission}.")
    return person


def _as_json(entry: Entry, granted: bool) -> dict[str, object]:
    return {"granted": granted, "entry": entry_json(entry)}


def _as_text(entry: Entry, granted: bool) -> str:
    said = "Granted" if granted else "Granted before, nothing was posted now"
    lines = "\n".join(f"{name:16} {value}" for name, value in entry_json(entry).items())
    return f"{said}: {entry.amount:,} credits under {entry.reference}.\n{lines}"
