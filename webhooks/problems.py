"""What the refusals of this app mean to a caller, in one place."""

from sora2.api import Problem, not_found, problem_of, refused
from webhooks.endpoints import TooManyEndpoints, UrlTaken
from webhooks.models import Endpoint
from webhooks.replay import EndpointDeleted, EndpointDisabled


@problem_of.register(Endpoint.DoesNotExist)
def _deleted_meanwhile(_: Exception) -> Problem:
    return not_found()


@problem_of.register
def _url_taken(error: UrlTaken) -> Problem:
    whose = f"Your endpoint {error.endpoint_id}" if error.endpoint_id else "Another endpoint of yours"
    return refused("/url", "duplicate", f"{whose} has this address. Change that one, or take another address.")


@problem_of.register
def _too_many(error: TooManyEndpoints) -> Problem:
    detail = f"You have {error.limit} endpoints in this mode, as many as there may be. Delete one first."
    return refused("", "too_many", detail, limit=error.limit)


@problem_of.register
def _disabled(_: EndpointDisabled) -> Problem:
    detail = 'The endpoint is disabled: enable it first, by PATCH with {"enabled": true}, then ask again.'
    return refused("", "endpoint_disabled", detail)


@problem_of.register
def _deleted(_: EndpointDeleted) -> Problem:
    detail = "The endpoint was deleted: nothing is sent to it any more. Create one for what is to come."
    return refused("", "endpoint_deleted", detail)
