"""What the API says where no view of it was reached: problem+json there, Django's pages elsewhere."""

import sys
from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt

from sora2.api import BASE_PATH, Problem, log_failure, problem_of, problem_page


@csrf_exempt
def unknown_address(_request: HttpRequest, *_: str) -> HttpResponse:
    """Answer an address of the API that does not exist, whatever the method."""
    return problem_page(Problem("not_found", "There is no such address. /openapi.json lists those that exist."))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 404 (Django's handler404)."""
    if _is_api(request):
        return problem_page(problem_of(Http404()))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer what a middleware or a view failed with (Django's handler500): 503 without the database."""
    if not _is_api(request):
        return defaults.server_error(request)
    error = sys.exc_info()[1]
    problem = problem_of(error if isinstance(error, Exception) else RuntimeError("no error is known"))
    log_failure(problem, error)
    return problem_page(problem)


class BodilessHeadMiddleware:
    """Answer HEAD with the headers of GET and no body, which a server would drop with a warning for each."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.method != "HEAD":
            return response
        if isinstance(response, HttpResponse):
            response.content = b""
        elif isinstance(response, StreamingHttpResponse):
            response.close()
            response.streaming_content = iter(())
        return response


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(BASE_PATH)
