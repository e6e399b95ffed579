"""The ten mails of a sale, from the first to a stranger to the welcome to Enterprise: to whom, when, with what.

Their texts are files in templates/mail/pilots, with the subject in the first line. What only a person knows stands
there in square brackets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.template.loader import render_to_string

from batches.quoting import FAMILIES
from customers.models import Organization, User
from pilots.mail_figures import Figures, PilotFigures, figures_of_lead, figures_of_pilot
from pilots.models import Lead, Pilot


@dataclass(frozen=True)
class Template:
    """A mail that can be written. `missing` says what a mail to a pilot lacks; mails to leads have none.

    A paper of a pilot (`is_paper`) has the boundary statement in it, word for word, as long as it is a pilot.
    """

    slug: str
    name: str
    when: str
    is_paper: bool = False
    missing: Callable[[PilotFigures], list[str]] | None = None

    @property
    def to_pilot(self) -> bool:
        """Say whether it is written to a pilot's customer, and not to a lead."""
        return self.slug in TO_PILOTS


@dataclass(frozen=True)
class Draft:
    """A mail as it is filled, not yet written by anybody. `missing` says why it cannot go out yet."""

    template: Template
    to: str
    subject: str
    body: str
    missing: list[str]
    lead: Lead | None
    organization: Organization | None


def _success(figures: PilotFigures) -> list[str]:
    if figures.succeeded and figures.ran and figures.received and figures.signed:
        return []
    unmet = [criterion.name for criterion in figures.judged.criteria if not criterion.is_met]
    waits = f"Not met yet: {'; '.join(unmet)}." if unmet else "The criteria were not met before the deadline."
    return [f"This mail confirms a success, and the pilot has not succeeded. {waits} Next: {figures.judged.next}"]


def _ended_batch(figures: PilotFigures) -> list[str]:
    if figures.ran:
        return []
    return [f"This mail tells the figures of a live batch, and none has run to its end. Next: {figures.judged.next}"]


def _ended_pilot(figures: PilotFigures) -> list[str]:
    if figures.is_over:
        return []
    until = f"{figures.pilot.deadline:%Y-%m-%d %H:%M} UTC"
    return [f"The review comes after the pilot, which runs until {until} or its success. Next: {figures.judged.next}"]


def _prices(figures: PilotFigures) -> list[str]:
    return [
        f"This mail says how many {family} videos the package buys, and the catalogue has no {family} model on offer."
        for family in FAMILIES
        if family not in figures.offer.families
    ]


def _enterprise(figures: PilotFigures) -> list[str]:
    if figures.is_enterprise:
        return []
    return [
        f"This mail welcomes to Enterprise, and {figures.organization} is on the pilot plan. Change it in the tab Plan."
    ]


TO_LEADS: Mapping[str, Template] = {
    each.slug: each
    for each in (
        Template("cold_mail", "First mail", "The first contact with a company that does not know us."),
        Template("billing_answer", "Answer about billing", "They reply: “Sounds interesting, how is billing handled?”"),
        Template("call_follow_up", "After the call", "After the technical review call.", is_paper=True),
    )
}
TO_PILOTS: Mapping[str, Template] = {
    each.slug: each
    for each in (
        Template("pilot_ready", "Pilot is ready", "As soon as it is provisioned, with the keys.", True),
        Template("pilot_batch_setup", "Set up the first batch", "When their webhook endpoint is ready.", True),
        Template("success_confirmation", "Pilot complete", "All three criteria are met in time.", True, _success),
        Template("pilot_results", "Results of the batch", "A live batch has run to its end.", True, _ended_batch),
        Template("review_invitation", "Invitation to the review", "On the second or third day.", True, _ended_pilot),
        Template(
            "prepaid_package", "Prepaid package", "They ask: “Can we prepay and increase limits?”", False, _prices
        ),
        Template("welcome_enterprise", "Welcome to Enterprise", "The plan is Enterprise.", False, _enterprise),
    )
}
TEMPLATES: Mapping[str, Template] = {**TO_LEADS, **TO_PILOTS}


def draft_to_lead(lead: Lead, template: Template, *, by: User) -> Draft:
    """Return a mail to a lead, filled."""
    figures = figures_of_lead(lead, by=by)
    return _draft(template, figures, [], lead, lead.organization)


def draft_to_pilot(pilot: Pilot, template: Template, *, by: User, now: datetime) -> Draft:
    """Return a mail to a pilot's customer, filled with what is true now; without text while its figures are missing."""
    figures = figures_of_pilot(pilot, by=by, now=now)
    missing = template.missing(figures) if template.missing else []
    return _draft(template, figures, missing, figures.lead, pilot.organization)


def _draft(
    template: Template, figures: Figures, missing: list[str], lead: Lead | None, organization: Organization | None
) -> Draft:
    text = (
        "" if missing else render_to_string(f"mail/pilots/{template.slug}.txt", {**vars(figures), "figures": figures})
    )
    subject, _, body = text.partition("\n")
    return Draft(template, figures.email, subject.strip(), body.strip(), missing, lead, organization)
