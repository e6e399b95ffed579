"""What the refusals of this app mean to a caller, in one place."""

from datetime import datetime

from batches import intake, retrying, services, stopping
from batches.content import RangeNotSatisfiable
from sora2.api import Problem, problem_of

# When to look again whether an open batch has ended.
OPEN_BATCHES_RETRY_SECONDS = 10


@problem_of.register
def _request_id_missing(_: intake.RequestIdMissing) -> Problem:
    detail = "Send a request id of your own: request_id in the body, or the header X-Request-Id or Idempotency-Key."
    return Problem("request_id_required", detail)


@problem_of.register
def _request_id_conflict(_: intake.RequestIdConflict) -> Problem:
    return Problem("request_id_conflict", "Several request ids were sent, and they differ. Send one.")


@problem_of.register
def _request_id_reused(_: services.RequestIdReused) -> Problem:
    detail = "This request id made a batch from another body. Send the same body, or take a new request id."
    return Problem("request_id_reused", detail)


@problem_of.register
def _too_large(error: intake.BatchTooLarge) -> Problem:
    detail = f"The batch has {error.items} items, at most {error.limit} are allowed. Split it."
    return Problem("batch_too_large", detail, items=error.items, limit=error.limit)


@problem_of.register
def _max_credits(error: services.MaxCreditsExceeded) -> Problem:
    detail = f"The batch costs {error.credits} credits; its max_credits is {error.max_credits}."
    return Problem("max_credits_exceeded", detail, required=error.credits, max_credits=error.max_credits)


@problem_of.register
def _credits_short(error: services.CreditsShort) -> Problem:
    # An equal balance can come from a movement between the refusal and the look at the wallet.
    shortfall = max(error.required - error.available, 0)
    detail = f"The batch costs {error.required} credits, {error.available} are available: {shortfall} are missing."
    return Problem(
        "insufficient_credits",
        detail,
        required=error.required,
        available=error.available,
        shortfall=shortfall,
    )


@problem_of.register
def _over_budget(error: services.KeyBudgetExceeded) -> Problem:
    # An equal figure can come from a refund between the refusal and the look at the key.
    remaining = error.budget - error.used
    detail = (
        f"The batch costs {error.required} credits; this key has a budget of {error.budget}, of which {remaining} are "
        "left. Refunds come back to it. Send a smaller batch, or use another key."
    )
    return Problem(
        "key_budget_exceeded",
        detail,
        required=error.required,
        budget=error.budget,
        used=error.used,
        remaining=remaining,
    )


@problem_of.register
def _open_batches(error: services.TooManyOpenBatches) -> Problem:
    detail = f"At most {error.limit} batches may be open at once. Wait until one has ended."
    headers = {"Retry-After": str(OPEN_BATCHES_RETRY_SECONDS)}
    return Problem("too_many_open_batches", detail, headers=headers, limit=error.limit)


@problem_of.register
def _final(_: stopping.BatchFinal) -> Problem:
    return Problem("batch_final", "The batch has ended: there is nothing left to cancel.")


@problem_of.register
def _model_retired(error: intake.ModelRetired) -> Problem:
    instead = f"Take {error.replacement} instead." if error.replacement else "Choose another model from GET /models."
    return Problem("model_retired", f"{error.model} is not offered any more. {instead}", replacement=error.replacement)


@problem_of.register
def _not_final(_: retrying.BatchNotFinal) -> Problem:
    return Problem("batch_not_final", "The batch has not ended: retry it when its failed items are refunded.")


@problem_of.register
def _nothing_to_retry(_: retrying.NothingToRetry) -> Problem:
    detail = (
        "No item of this batch was refunded after a failure that may not come again. Change what failed, and send it."
    )
    return Problem("nothing_to_retry", detail)


@problem_of.register
def _already_retried(error: retrying.AlreadyRetried) -> Problem:
    detail = "Each item is tried anew once, and those of this batch were. Retry the batch that they are in, if need be."
    return Problem("already_retried", detail, retried_in=error.batch_id)


@problem_of.register
def _outside(error: RangeNotSatisfiable) -> Problem:
    detail = f"The content has {error.size} bytes; the range lies outside."
    return Problem("range_not_satisfiable", detail, headers={"Content-Range": f"bytes */{error.size}"})


def not_final() -> Problem:
    """Return the answer to who asks for a proof before the end."""
    detail = "The proof is fixed when the batch ends. Ask again when its state is final, or wait for the webhook."
    return Problem("batch_not_final", detail)


def video_deleted(at: datetime) -> Problem:
    """Return the answer to who asks for a video that is not kept any more."""
    detail = f"The video was deleted on {at:%Y-%m-%d} under the retention policy. Its record, with its hash, is kept."
    return Problem("not_found", detail)


def link_invalid() -> Problem:
    """Return the answer to who comes with an address that is no good, whatever the reason."""
    return Problem("not_found", "This address has expired, or is for another video. Ask for a new one with ?url=1.")


def no_video() -> Problem:
    """Return the answer to who asks for the content of an item that has none."""
    return Problem("not_found", "There is no video: this item has not succeeded.")
