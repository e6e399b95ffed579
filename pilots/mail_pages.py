"""What the pages of sales' mails show: what was written to whom, and which mail comes next."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse

from customers.access import Access
from customers.models import Handover, Organization, User
from pilots.mail_figures import PilotFigures, figures_of_pilot
from pilots.mail_links import KEPT
from pilots.mail_templates import TEMPLATES, TO_PILOTS, Template
from pilots.mails import HANDED
from pilots.models import Lead, Pilot, SalesMail, Signal
from sora2.pages import Rows, rows_after

SHOWN = 50


@dataclass(frozen=True)
class Written:
    """A mail that is kept, under its template's name, and how it stands: `sent`, `copied` or `not sent`."""

    mail: SalesMail
    name: str
    state: str

    @property
    def is_unknown(self) -> bool:
        """Say whether nobody knows if it went out: it was given to the mail server, and then nothing was noted."""
        return self.state == "not sent" and self.mail.fault.startswith(HANDED)

    @property
    def has_links(self) -> bool:
        """Say whether one-time links went out with it."""
        return KEPT.search(self.mail.body) is not None


@dataclass(frozen=True)
class Offered:
    """A mail that can be written: where, why not yet, when it was written last, and whether it comes next."""

    template: Template
    address: str
    missing: list[str]
    written_at: datetime | None
    is_next: bool


@dataclass(frozen=True)
class Mails:
    """The mails of a pilot. `lead` is who the customer was before, if we knew them."""

    offered: list[Offered]
    written: list[Written]
    rows: Rows[SalesMail]
    lead: Lead | None


def written(mail: SalesMail) -> Written:
    """Return a mail and how it stands."""
    state = "copied" if mail.way == SalesMail.Way.COPIED else "sent" if mail.sent_at else "not sent"
    known = TEMPLATES.get(mail.template)
    return Written(mail, known.name if known else mail.template, state)


def mails_of_pilot(pilot: Pilot, *, by: User, now: datetime, cursor: str = "") -> Mails:
    """Return what was written to a pilot's customer, also while it was a lead, and what can be."""
    figures = figures_of_pilot(pilot, by=by, now=now)
    lead = figures.lead
    about = Q(organization=pilot.organization_id) | (Q(lead=lead) if lead else Q())
    last = _last_written(about)
    following = next_of(figures, written=frozenset(last))
    offered = [
        Offered(
            template,
            reverse("admin:pilot_mail", args=[pilot.pk, template.slug]),
            template.missing(figures) if template.missing else [],
            last.get(template.slug),
            template.slug == following,
        )
        for template in TO_PILOTS.values()
    ]
    kept = SalesMail.objects.filter(about).select_related("created_by")
    rows = rows_after(kept, key="-id", cursor=cursor, size=SHOWN)
    return Mails(offered, [written(mail) for mail in rows.rows], rows, lead)


def next_of(figures: PilotFigures, *, written: frozenset[str]) -> str:
    """Return which mail a pilot's state asks for next; empty if none does."""
    has_run, asks = figures.ran is not None, Signal.Code.ASKS_PREPAID
    wants_package = Signal.objects.filter(organization=figures.organization, code=asks).exists()
    in_turn = (
        ("welcome_enterprise", figures.is_enterprise),
        ("success_confirmation", figures.succeeded),
        ("pilot_ready", not has_run),
        ("pilot_results", has_run),
        ("pilot_batch_setup", not has_run),
        ("prepaid_package", wants_package),
        ("review_invitation", figures.is_over),
    )
    if figures.is_enterprise and "welcome_enterprise" in written:
        return ""
    return next((slug for slug, holds in in_turn if holds and slug not in written), "")


def waiting(organization: Organization | None) -> list[Handover]:
    """Return the secrets that a link in a mail to this customer would open."""
    return list(Handover.objects.open().filter(organization=organization).order_by("pk")) if organization else []


def reached_lead(access: Access, *, lead_id: str) -> Lead:
    """Return a lead, for our own people. Raises Http404."""
    if access.organization_ids is not None:
        raise Http404
    return get_object_or_404(Lead.objects.select_related("organization"), pk=lead_id)


def reached_mail(access: Access, *, mail_id: str) -> SalesMail:
    """Return a kept mail with all that it is about, for our own people. Raises Http404."""
    if access.organization_ids is not None:
        raise Http404
    kept = SalesMail.objects.select_related("lead", "organization__pilot", "created_by")
    return get_object_or_404(kept, pk=mail_id)


def _last_written(about: Q) -> dict[str, datetime]:
    """Return when each template went out last: sent, or copied."""
    gone = SalesMail.objects.filter(about).filter(Q(sent_at__isnull=False) | Q(way=SalesMail.Way.COPIED))
    return dict(gone.order_by("created_at").values_list("template", "created_at"))
