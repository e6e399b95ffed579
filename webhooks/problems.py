"""What the refusals of this app mean to a caller, in one place."""

from typing import Any

from sora2.api import Problem, not_found, problem_of
from webhooks.endpoints import TooManyEndpoints, UrlTaken
from webhooks.models import Endpoint
from webhooks.replay import EndpointDeleted, EndpointDisabled


@problem_of.register(Endpoint.DoesNotExist)
def _deleted_meanwhile(_: Exception) -> Problem:
    return not_found()


@problem_of.register
def _url_taken(error: UrlTaken) -> Problem:
    whose = f"Your endpoint {error.endpoint_id}" if error.endpoint_id else "Another endpoint of yours"
    return _refused("/url", "duplicate", f"{whose} has this address. Change that one, or take another address.")


@problem_of.register
def _too_many(error: TooManyEndpoints) -> Problem:
    detail = f"You have {error.limit} endpoints in this mode, as many as there may be. Delete one first."
    return _refused("", "too_many", detail, limit=error.limit)


@problem_of.register
def _disabled(_: EndpointDisabled) -> Problem:
    detail = 'The endpoint is disabled: enable it first, by PATCH with {"enabled": true}, then ask again.'
    return _refused("", "endpoint_disabled", detail)


@problem_of.register
def _deleted(_: EndpointDeleted) -> Problem:
    detail = "The endpoint was deleted: nothing is sent to it any more. Create one for what is to come."
    return _refused("", "endpoint_deleted", detail)


def _refused(pointer: str, code: str, detail: str, **extra: Any) -> Problem:
    """Return the problem of a request that is well-formed and cannot be done as things are."""
    fault = {"pointer": pointer, "code": code, "detail": detail}
    return Problem("validation_error", detail, errors=[fault], **extra)
