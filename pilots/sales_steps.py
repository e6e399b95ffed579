"""The five steps of the sale: when each is due, what matters in it, and which mails belong to it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilots.mail_templates import TO_LEADS, TO_PILOTS, Template
from pilots.models import Lead
from pilots.sales_claims import Claim, Shown

Stage = Lead.Stage


@dataclass(frozen=True)
class Step:
    """One step. `aim` is what it is for; `heard` is what the customer says when it is due; `mails` belong to it."""

    stage: Lead.Stage
    name: str
    aim: str
    when: str
    points: tuple[Claim, ...]
    mails: tuple[Template, ...]
    heard: str = ""


STEPS = (
    Step(
        Stage.COLD_MAIL,
        "Cold mail",
        "Get in touch",
        "At the first contact with somebody who may become a customer.",
        (
            Claim("Stress “enterprise-grade”."),
            Claim("Put “batch execution” forward.", Shown("Concepts", docs="concepts")),
            Claim("Mention “financial safety”.", Shown("Ledger and reconciliation", docs="reconciliation")),
            Claim("Say clearly: no subscription lock-in.", Shown("Questions", docs="faq")),
        ),
        (TO_LEADS["cold_mail"],),
    ),
    Step(
        Stage.REPLY,
        "Reply",
        "Answer thoroughly",
        "As soon as they answer. This is where the sale turns.",
        (
            Claim("Answer directly what they care about most: billing.", Shown("Questions", docs="faq")),
            Claim(
                "Stress that finance teams can approve: every step is auditable, without manual reconciliation.",
                Shown("Ledger and reconciliation", docs="reconciliation"),
            ),
            Claim("Offer a small pilot yourself, 10–20 videos: it makes the decision easy."),
        ),
        (TO_LEADS["billing_answer"],),
        "Sounds interesting, how is billing handled?",
    ),
    Step(
        Stage.CALL,
        "Technical call",
        "Three sentences",
        "Once they want to know how it works. The follow-up goes out on the same day.",
        (
            Claim("Say the three sentences, as they stand. Explain each; give the detail only when asked."),
            Claim("Agree on the pilot batch: 20 videos, with their own use case."),
            Claim("They are to see the whole flow, look at the dashboard, and check how refunds work."),
            Claim("The follow-up says nothing of 99.9 % or an SLA: before a contract none is promised."),
        ),
        (TO_LEADS["call_follow_up"],),
    ),
    Step(
        Stage.PILOT,
        "Pilot",
        "Prove it",
        "After the call. 48 hours, from activation to the three criteria.",
        (
            Claim("20 videos, 10–50 at most; pay as you go, on promotional credits.", Shown("The pilot", docs="pilot")),
            Claim(
                "Delivered within one or two days, followed by webhook and dashboard.",
                Shown("The pilot", docs="pilot"),
                "tests/pilots/test_criteria.py",
            ),
            Claim("A pilot is not about closing a deal: does this system deserve trust on a larger scale?"),
            Claim("What they ask for by themselves is a signal: record it, and do not push."),
            Claim("Hold the review on day 2 or 3, and ask only what is on its list."),
        ),
        (
            TO_PILOTS["pilot_ready"],
            TO_PILOTS["pilot_batch_setup"],
            TO_PILOTS["success_confirmation"],
            TO_PILOTS["pilot_results"],
            TO_PILOTS["review_invitation"],
        ),
    ),
    Step(
        Stage.CONTRACT,
        "Contract",
        "Close, and scale",
        "When they ask for a contract, for an SLA, or to prepay. Never before.",
        (
            Claim(
                "The prepaid package: its credits are in the wallet at once, and never expire.",
                Shown("Questions", docs="faq"),
            ),
            Claim("Failures refund automatically, as before. No invariant is changed for one customer."),
            Claim("Higher limits and priority support come with the upgrade of the plan."),
            Claim("First the invoice, then the credits, then they start: in this order."),
        ),
        (TO_PILOTS["prepaid_package"], TO_PILOTS["welcome_enterprise"]),
        "Can we prepay $5k and increase limits?",
    ),
)
BY_STAGE: Mapping[str, Step] = {step.stage.value: step for step in STEPS}
