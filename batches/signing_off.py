"""Signing off: a person in finance says that a final batch reconciles, reserved = settled + refunded.

The figures are added up from the ledger's entries then and there, and held against the batch's own; the database does
so too. A sign-off is for good, one for each side: the customer's finance, or ours on their behalf, with a note how.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, Sum

from batches.models import Batch, Proof, Side, SignOff
from batches.signing_models import NOTE_MAX
from customers.access import STAFF_ROLES, Permission, permissions_of_role
from customers.models import User
from customers.services import audit
from ledger.models import Entry

SUPERUSER = "superuser"


class SignOffRefused(Exception):
    """The batch cannot be signed off like this; the message says why, and what to do."""


@dataclass(frozen=True)
class Signer:
    """A person who may sign a batch off, for which side, and by which role."""

    user: User
    side: Side
    role: str


@dataclass(frozen=True)
class Figures:
    """What the ledger says of a batch."""

    reserved: int
    settled: int
    refunded: int


def sign_off(*, batch: Batch, signer: Signer, note: str, now: datetime) -> tuple[SignOff, bool]:
    """Sign a batch off; return the sign-off of this side, and whether this call made it. Raises SignOffRefused.

    Who comes second, with a second click or at the same moment, gets what the first one signed.
    """
    figures, note = _reconciled(batch), " ".join(note.replace("\0", "").split())
    if len(note) > NOTE_MAX:
        raise SignOffRefused(f"A note has at most {NOTE_MAX} characters; this one has {len(note):,}.")
    if signer.side == Side.STAFF and not note:
        raise SignOffRefused("Say in a note how this was verified: you sign for the customer's finance.")
    signed = SignOff(
        batch=batch,
        side=signer.side,
        signed_by=signer.user,
        role=signer.role,
        note=note,
        reserved=figures.reserved,
        settled=figures.settled,
        refunded=figures.refunded,
        proof_sha256=Proof.objects.values_list("sha256", flat=True).get(batch=batch),
        signed_at=now,
    )
    with transaction.atomic():
        SignOff.objects.bulk_create([signed], ignore_conflicts=True)
        stands = SignOff.objects.select_related("signed_by").get(batch=batch, side=signer.side)
        made = stands.pk == signed.pk
        if made:
            _audit(signed)
    return stands, made


def signer_of(user: User, batch: Batch) -> Signer | None:
    """Return as whom a person may sign this batch off; None when they may not."""
    if not user.is_active:
        return None
    if user.is_staff:
        role = _staff_role(user)
        return Signer(user, Side.STAFF, role) if role else None
    membership = user.memberships.filter(organization=batch.organization_id).first()
    if membership is None or Permission.BATCHES_SIGN_OFF not in permissions_of_role(membership.role):
        return None
    return Signer(user, Side.CUSTOMER, membership.role)


def signed_off(batch: Batch) -> list[SignOff]:
    """Return the sign-offs of a batch, oldest first, with who signed."""
    return list(SignOff.objects.filter(batch=batch).select_related("signed_by").order_by("signed_at", "pk"))


def _staff_role(user: User) -> str:
    if user.is_superuser:
        return SUPERUSER
    roles = user.groups.order_by("name").values_list("name", flat=True)
    return next((role for role in roles if Permission.BATCHES_SIGN_OFF in STAFF_ROLES.get(role, ())), "")


def _reconciled(batch: Batch) -> Figures:
    """Return the batch's figures as its entries say them. Raises SignOffRefused unless all of it agrees."""
    if not batch.is_final:
        raise SignOffRefused("The batch has not ended: its credits are still held. Sign it off when it is final.")
    figures = _posted(batch)
    if figures.reserved != figures.settled + figures.refunded:
        raise SignOffRefused("The ledger does not say reserved = settled + refunded. Tell our finance: do not sign.")
    if figures != Figures(batch.credits, batch.settled, batch.refunded):
        raise SignOffRefused("The batch and its ledger entries differ. Tell our finance: do not sign.")
    return figures


def _posted(batch: Batch) -> Figures:
    sums = Entry.objects.about(batch.pk).filter(wallet_id=batch.wallet_id).order_by().aggregate(
        reserved=Sum("amount", filter=Q(kind=Entry.Kind.RESERVE), default=0),
        settled=Sum("amount", filter=Q(kind=Entry.Kind.SETTLE), default=0),
        refunded=Sum("amount", filter=Q(kind=Entry.Kind.REFUND), default=0),
    )  # fmt: skip
    return Figures(**{name: int(figure) for name, figure in sums.items()})


def _audit(signed: SignOff) -> None:
    figures = {name: getattr(signed, name) for name in ("reserved", "settled", "refunded")}
    audit(
        actor=signed.signed_by_id,
        action="batch.sign_off",
        organization_id=signed.batch.organization_id,
        mode=signed.batch.mode,
        subject=signed.batch_id,
        detail={"sign_off": signed.pk, "side": signed.side, "role": signed.role, "note": signed.note, **figures},
    )
