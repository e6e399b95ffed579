"""What the API says where no view of it was reached: problem+json there, Django's pages elsewhere."""

import sys
from collections.abc import Callable

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt

from customers.pages import missing
from sora2.api import BASE_PATH, Problem, log_failure, problem_of, problem_page

DATABASE_DOWN = """<!doctype html><html lang="en"><title>Not available for the moment</title>
<h1>Not available for the moment</h1>
<p>The database is not reachable. No credit was moved by this request. Try again in a few seconds.</p></html>"""

TOO_LARGE = """<!doctype html><html lang="en"><title>Too large</title>
<h1>Too large</h1>
<p>What you sent is larger than a page takes, and nothing of it was kept. No credit was moved. Go back, and send it in
parts, or as a file.</p></html>"""


@csrf_exempt
def unknown_address(_request: HttpRequest, *_: str) -> HttpResponse:
    """Answer an address of the API that does not exist, whatever the method."""
    return problem_page(Problem("not_found", "There is no such address. /openapi.json lists those that exist."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 400 (Django's handler400), or 413 to a form that is too large, which no view has seen."""
    if isinstance(exception, RequestDataTooBig):
        return HttpResponse(TOO_LARGE, status=413)
    return defaults.bad_request(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 404 (Django's handler404)."""
    if _is_api(request):
        return problem_page(problem_of(Http404()))
    if request.path_info.startswith(reverse("admin:index")):
        return missing(request)
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


class DatabaseDownMiddleware:
    """Answer 503 while the database does not answer, on pages in words; the views of the API do it themselves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a view failed with, if that is the database's absence (Django's hook)."""
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        problem = problem_of(exception)
        log_failure(problem, exception)
        if _is_api(request):
            return problem_page(problem)
        return HttpResponse(DATABASE_DOWN, status=503, headers={"Retry-After": "5"})


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(BASE_PATH)
