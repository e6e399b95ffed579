"""What the refusals of this app mean to a caller, in one place."""

from customers.issuing import BudgetShort, KeyEnded, TooManyKeys, WorthMore
from sora2.api import Problem, problem_of, refused


@problem_of.register
def _too_many(error: TooManyKeys) -> Problem:
    detail = f"You have {error.limit} usable keys in this mode, as many as there may be. Revoke one first."
    return refused("", "too_many", detail, limit=error.limit)


@problem_of.register
def _budget_short(_: BudgetShort) -> Problem:
    detail = "Your own key has less left of its budget by now. Look at it with GET /keys, and hand over less."
    return refused("/budget_credits", "exceeds_own", detail)


@problem_of.register
def _ended(_: KeyEnded) -> Problem:
    return refused("", "key_ended", "The key is revoked or has expired, for good. Create another one.")


@problem_of.register
def _worth_more(_: WorthMore) -> Problem:
    detail = (
        "This key can do more than your own: it has other scopes, networks or more time, or your own has a budget. "
        "Rotate it with a key that can do as much, or with itself."
    )
    return refused("", "exceeds_own", detail)
