"""What holds in every sale: what is never done, what each signal means, when a pilot has failed, what we sell."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilots.models import PilotFailure, Signal, SignalKind

Code, Condition = Signal.Code, PilotFailure.Condition


@dataclass(frozen=True)
class Never:
    """Something that is not done, and why."""

    words: str
    reason: str


@dataclass(frozen=True)
class Meaning:
    """What a signal tells us, and what to do when it is seen: never to push."""

    says: str
    do: str


@dataclass(frozen=True)
class Failure:
    """A condition by which a pilot fails, and what that tells us."""

    number: int
    words: str
    lesson: str


DO_NOT = (
    Never("Promise an SLA", "Not in the scope of a pilot"),
    Never("Promise a success rate", "It depends on the model"),
    Never("Promise results in SEO or traffic", "Out of scope"),
    Never("Discuss long-term contracts", "Premature"),
    Never("Modify a system invariant for one customer", "It breaks what trust is founded on"),
)

KINDS: Mapping[SignalKind, str] = {
    SignalKind.UPGRADE: "Observe, don't push: record what the customer asks for, and start nothing by yourself.",
    SignalKind.HEALTH: "It goes well. Go on with the step that is due.",
    SignalKind.DANGER: "It may come to nothing. Know it before you spend time or credits.",
}
MEANINGS: Mapping[Signal.Code, Meaning] = {
    Code.MORE_CONCURRENCY: Meaning("Scale need", "Answer that limits are set for each organization. Record it."),
    Code.MORE_EVENTS: Meaning("Integration depth", "Ask which event, for what. It is input for the next version."),
    Code.CONTRACT_OR_SLA: Meaning(
        "State machine transition: Pilot → Enterprise", "The transition is open from then on, on the page Plan."
    ),
    Code.ASKS_PRICING: Meaning("They are working out what it costs them", "Give the prices, and the prepaid package."),
    Code.ASKS_PILOT: Meaning("They want to see it for themselves", "Hold the technical call, then provision."),
    Code.ASKS_PREPAID: Meaning(
        "They are ready to pay ahead", "The transition to Enterprise is open from then on, on the page Plan."
    ),
    Code.FINANCE_APPROVES: Meaning("Finance is in it, for whom this was built", "Offer the ten minutes on Billing."),
    Code.ONLY_PRICE: Meaning("They compare prices, not what it does", "Lead back to what finance needs, once."),
    Code.FREE_THOUSAND: Meaning(
        "They want work for nothing, not a proof", "A pilot has 10 to 50 videos. More is not given away."
    ),
    Code.JUST_LOOKING: Meaning("Nobody there has a need now", "Send the address of the public pages, and wait."),
}

FAILURES = (
    Failure(Condition.NO_BATCH, "The customer fails to run 1 batch within 48 hours.", "The way in is too hard."),
    Failure(
        Condition.WEBHOOK, "The reception of the webhook fails, or is misunderstood.", "The guide is not clear enough."
    ),
    Failure(
        Condition.RECONCILIATION, "Finance cannot complete the reconciliation.", "The figures are not clear enough."
    ),
    Failure(
        Condition.DEMO_OR_API,
        "The customer asks: “Is Demo the same as API?”",
        "The page that answers it was not found, or not good enough.",
    ),
)
NOT_BAD = ("Failure ≠ Bad", "Failure = Real input for v1.1")
# What is no criterion of success, however often it is asked.
NO_CRITERIA = ("Subjective quality assessment", "Generation success rate", "“Looks good” feedback")

IN_SHORT = "An AI video system that a CFO will not scold you for."
WHY = (
    "No credit is taken without a reason: frozen, settled, refunded by itself.",
    "Every failure can be explained: its type, and a sentence.",
    "The data can be reconciled: the ledger's entries, and the page of each batch.",
)
