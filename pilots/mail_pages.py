"""What the pages of sales' mails show: what was written to whom, and which mail comes next."""

from dataclasses import dataclass
from datetime import datetime

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse

from customers.access import Access
from customers.models import Handover, Organization, User
from pilots.mail_figures import PilotFigures, figures_of_pilot
from pilots.mail_links import KEPT
from pilots.mail_templates import TEMPLATES, TO_LEADS, TO_PILOTS, Template
from pilots.mails import HANDED
from pilots.models import Lead, Pilot, SalesMail, Signal
from sora2.pages import Rows, rows_after

SHOWN = 50


@dataclass(frozen=True)
class Written:
    """A mail that is kept, under its template's name."""

    mail: SalesMail
    name: str

    @property
    def is_unknown(self) -> bool:
        """Say whether nobody knows if it went out: it was given to the mail server, and then nothing was noted."""
        return self.mail.state == "not sent" and self.mail.fault.startswith(HANDED)

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
    """The mails of a pilot. `lead` is who the customer was, if we knew them; `to_lead` is what is written to leads."""

    offered: list[Offered]
    written: list[Written]
    rows: Rows[SalesMail]
    lead: Lead | None
    to_lead: list[Template]


def written(mail: SalesMail) -> Written:
    """Return a mail under its template's name."""
    known = TEMPLATES.get(mail.template)
    return Written(mail, known.name if known else mail.template)


def mails_of_pilot(pilot: Pilot, *, by: User, now: datetime, cursor: str = "") -> Mails:
    """Return what was written to a pilot's customer, also while it was a lead, and what can be."""
    figures = figures_of_pilot(pilot, by=by, now=now)
    lead = figures.lead
    kept = SalesMail.objects.about(lead=lead, organization_id=pilot.organization_id)
    # When each template went out last.
    last = dict(kept.gone().order_by("created_at").values_list("template", "created_at"))
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
    rows = rows_after(kept.select_related("created_by"), key="-id", cursor=cursor, size=SHOWN)
    return Mails(offered, [written(mail) for mail in rows.rows], rows, lead, list(TO_LEADS.values()))


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


def reached_mail(access: Access, *, mail_id: str) -> SalesMail:
    """Return a kept mail with all that it is about, for our own people. Raises Http404."""
    if access.organization_ids is not None:
        raise Http404
    kept = SalesMail.objects.select_related("lead", "organization__pilot", "created_by")
    return get_object_or_404(kept, pk=mail_id)
