"""The verbs about leads: each moves through the five steps of the sale, and every step is written down."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from customers.models import User
from customers.services import audit
from pilots.models import Lead, LeadStep
from sora2.seen import check_seen

NOTE_MAX = 500
# The stages that a person says. The other two say what was done: a pilot was provisioned, a contract was made.
BY_HAND = (Lead.Stage.COLD_MAIL, Lead.Stage.REPLY, Lead.Stage.CALL)
LOST, TAKEN_UP = "Lost: ", "Taken up again"
CONTACT = ("company", "contact_name", "contact_email")


def is_after(stage: str, other: str) -> bool:
    """Say whether a stage comes after another one."""
    return Lead.Stage.values.index(stage) > Lead.Stage.values.index(other)


class LeadRefused(ValueError):
    """Nothing was changed about the lead; the message says why, and what to do."""


def alike(*, company: str, contact_email: str, beside: str) -> list[Lead]:
    """Return the leads of the same company or e-mail, in letters of any case, beside one; the latest ten."""
    same = Q(company__iexact=company) | Q(contact_email__iexact=contact_email)
    return list(Lead.objects.filter(same).exclude(pk=beside).order_by("-pk")[:10])


@transaction.atomic
def create_lead(*, draft: Lead, note: str, by: User, now: datetime) -> Lead:
    """Store a lead that begins with a cold mail; `note` says where it comes from. The same id twice makes one."""
    _refuse_long(note)
    given = {name: getattr(draft, name) for name in CONTACT}
    lead, made = Lead.objects.get_or_create(pk=draft.pk, defaults={**given, "created_by": by, "created_at": now})
    if made:
        LeadStep.objects.create(lead=lead, at=now, by=by, stage=lead.stage, note=note)
        audit(actor=by.pk, action="lead.create", subject=lead.pk)
    return lead


def contact_of(lead: Lead) -> dict[str, str]:
    """Return what a form about the contact has shown."""
    return {name: getattr(lead, name) for name in CONTACT}


@transaction.atomic
def change_contact(*, lead: Lead, contact: dict[str, str], seen: str, by: User) -> bool:
    """Set company and contact; say whether that changes anything. Raises ChangedMeanwhile.

    The log names what was changed and not what it says: it is kept for good, and people may go.
    """
    before = contact_of(_locked(lead))
    check_seen(before, seen)
    changed = [name for name in CONTACT if before[name] != contact[name]]
    if not changed:
        return False
    Lead.objects.filter(pk=lead.pk).update(**{name: contact[name] for name in changed})
    audit(
        actor=by.pk,
        action="lead.change",
        organization_id=lead.organization_id,
        subject=lead.pk,
        detail={"changed": changed},
    )
    return True


@transaction.atomic
def advance(*, lead: Lead, stage: Lead.Stage, by: User | None, now: datetime, note: str = "") -> bool:
    """Put a lead on a stage, and write it down; say whether that changes anything. One that was lost is so no more."""
    rows = Lead.objects.filter(pk=lead.pk).exclude(stage=stage)
    if not rows.update(stage=stage, lost_at=None, lost_reason=""):
        return False
    LeadStep.objects.create(lead=lead, at=now, by=by, stage=stage, note=note)
    lead.stage = stage
    return True


def why_not_moved(lead: Lead) -> str:
    """Return why nobody moves this lead by hand; the empty text when they can."""
    if lead.lost_at:
        return "It is lost. Take it up again, then move it."
    if lead.organization_id:
        return (
            "It is a customer: its stage says what was done. Provisioning has made it a pilot, and the upgrade of its "
            "plan makes it a contract."
        )
    return ""


@transaction.atomic
def move(*, lead: Lead, stage: Lead.Stage, seen: str, note: str, by: User, now: datetime) -> None:
    """Move a lead by hand from the stage that was seen. Raises LeadRefused."""
    _refuse_long(note)
    if stage not in BY_HAND:
        act = "provisioning the pilot" if stage == Lead.Stage.PILOT else "upgrading the plan"
        raise LeadRefused(f"The stage {stage} is set by {act}, not by hand.")
    locked = _locked(lead)
    if why_not := why_not_moved(locked):
        raise LeadRefused(why_not)
    if locked.stage != seen:
        raise LeadRefused("It was moved meanwhile: look at where it is now.")
    if is_after(locked.stage, stage) and not note:
        raise LeadRefused("Say why it goes back.")
    if advance(lead=lead, stage=stage, by=by, now=now, note=note):
        detail = {"old": locked.stage, "new": stage, **({"reason": note} if note else {})}
        audit(actor=by.pk, action="lead.move", subject=lead.pk, detail=detail)


@transaction.atomic
def note_down(*, lead: Lead, note: str, by: User, now: datetime) -> bool:
    """Write something down about a lead; say whether the same person has not just written the same."""
    _refuse_long(note)
    locked = _locked(lead)
    latest = LeadStep.objects.filter(lead=lead).order_by("-at", "-pk").first()
    if latest is not None and (latest.note, latest.by_id) == (note, by.pk):
        return False
    LeadStep.objects.create(lead=lead, at=now, by=by, stage=locked.stage, note=note)
    audit(actor=by.pk, action="lead.note", organization_id=lead.organization_id, subject=lead.pk)
    return True


@transaction.atomic
def lose(*, lead: Lead, reason: str, by: User, now: datetime) -> bool:
    """Give a lead up; say whether it was not lost before. Raises LeadRefused."""
    _refuse_long(reason)
    if not reason:
        raise LeadRefused("Say why it is lost.")
    if not Lead.objects.filter(pk=lead.pk, lost_at=None).update(lost_at=now, lost_reason=reason):
        return False
    _write_down(lead, f"{LOST}{reason}", by, now, action="lead.lose", reason=reason)
    return True


@transaction.atomic
def take_up(*, lead: Lead, note: str, by: User, now: datetime) -> bool:
    """Take a lost lead up again where it was; say whether it was lost."""
    _refuse_long(note)
    if not Lead.objects.filter(pk=lead.pk, lost_at__isnull=False).update(lost_at=None, lost_reason=""):
        return False
    said = f"{TAKEN_UP}: {note}" if note else TAKEN_UP
    _write_down(lead, said, by, now, action="lead.take_up", **({"reason": note} if note else {}))
    return True


def _locked(lead: Lead) -> Lead:
    return Lead.objects.select_for_update(no_key=True).get(pk=lead.pk)


def _write_down(lead: Lead, note: str, by: User, now: datetime, *, action: str, **detail: str) -> None:
    stage = Lead.objects.values_list("stage", flat=True).get(pk=lead.pk)
    LeadStep.objects.create(lead=lead, at=now, by=by, stage=stage, note=note)
    audit(actor=by.pk, action=action, organization_id=lead.organization_id, subject=lead.pk, detail=detail)


def _refuse_long(text: str) -> None:
    if len(text) > NOTE_MAX:
        raise LeadRefused(f"A note has at most {NOTE_MAX} characters.")
