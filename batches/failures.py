"""Why an item failed: the types, what the customer is told, and the retry policy, as data."""

from dataclasses import dataclass
from enum import StrEnum


class FailureType(StrEnum):
    """The `failure.type` of an item, as customers see it."""

    CONTENT_REFUSED = "content_refused"
    INVALID_REQUEST = "invalid_request"
    RATE_LIMITED = "rate_limited"
    CAPACITY = "capacity"
    PROVIDER_AUTH = "provider_auth"
    PROVIDER_ERROR = "provider_error"
    NETWORK_ERROR = "network_error"
    TIMEOUT = "timeout"
    OUTPUT_INVALID = "output_invalid"
    MODEL_RETIRED = "model_retired"
    AMBIGUOUS_SUBMIT = "ambiguous_submit"
    CANCELED = "canceled"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True)
class Policy:
    """What happens after a failure of one type.

    `attempts` is how often one item may fail like this before it has failed for good; `backoff_seconds` are the waits
    before the next submits (the last one repeats). Only failures after which the provider certainly runs no job are
    ever submitted again. `retryable` tells the customer whether the same item may succeed in a new batch.
    """

    attempts: int
    backoff_seconds: tuple[float, ...]
    retryable: bool
    message: str

    @property
    def submits_again(self) -> bool:
        """Say whether an item may be submitted again after a failure of this type at all."""
        return self.attempts > 1

    @property
    def happened(self) -> str:
        """Return what happened: the first sentence of the message."""
        return self.message.partition(". ")[0].removesuffix(".") + "."

    @property
    def remedy(self) -> str:
        """Return what to do: the rest of the message, if there is any."""
        return self.message.partition(". ")[2]


# Backing off 1, 2, 4, … 60 s: a hundred attempts take more than an hour and a half of a provider that refuses work,
# so what ends an item before is its deadline.
PATIENT = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
PATIENCE = 100
BRIEF = (0.5, 2.0)

POLICIES: dict[FailureType, Policy] = {
    FailureType.CONTENT_REFUSED: Policy(
        1, (), False, "The provider's content rules refused this prompt. Change the prompt and send it again."
    ),
    FailureType.INVALID_REQUEST: Policy(
        1,
        (),
        False,
        "The provider did not accept this request as it stands. Check the prompt, length and size.",
    ),
    FailureType.RATE_LIMITED: Policy(
        PATIENCE, PATIENT, True, "The provider was taking no more requests for too long. Send the item again later."
    ),
    FailureType.CAPACITY: Policy(
        PATIENCE, PATIENT, True, "The provider had no capacity for too long. Send the item again later."
    ),
    FailureType.PROVIDER_AUTH: Policy(
        1, (), True, "Our access to the provider was refused. We have to mend that; then send the item again."
    ),
    FailureType.PROVIDER_ERROR: Policy(
        3, BRIEF, True, "The provider reported an error while making this video. Send the item again."
    ),
    FailureType.NETWORK_ERROR: Policy(
        PATIENCE, PATIENT, True, "The provider could not be reached for too long. Send the item again later."
    ),
    FailureType.TIMEOUT: Policy(
        1, (), True, "The video was not ready by the deadline. Send the item again, or set a later deadline."
    ),
    FailureType.OUTPUT_INVALID: Policy(
        2, BRIEF, True, "The provider delivered a file that does not play as ordered. Send the item again."
    ),
    FailureType.MODEL_RETIRED: Policy(
        1, (), False, "The provider no longer offers this model. Choose another model from the catalogue."
    ),
    FailureType.AMBIGUOUS_SUBMIT: Policy(
        1, (), True, "The provider never confirmed that it took this item. It was not charged; send it again."
    ),
    FailureType.CANCELED: Policy(1, (), True, "The batch was canceled before this item was submitted."),
    FailureType.INTERNAL_ERROR: Policy(
        2, BRIEF, True, "Something failed on our side. The item was not charged; send it again."
    ),
}
