"""The pages of the public documentation: the same for everybody, without login, session or cookie."""

import functools
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import get_conditional_response, set_response_etag
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from ledger.packages import LIST_PRICE, PREPAID
from sora2.documentation.contents import GROUPS, START, WRITTEN, Row, neighbours, row_at
from sora2.documentation.downloads import archive, example
from sora2.documentation.library import library
from sora2.documentation.pricing import EstimateForm, prices
from sora2.documentation.search import QUERY_LENGTH, Hit, search
from sora2.security import POLICY, policy

CACHED_SECONDS = 300
PRICES_CACHED_SECONDS = 30
HITS = 20
HITS_AT_ONCE = 8
# Swagger UI writes styles into its elements. It evaluates nothing and loads nothing from elsewhere.
EXPLORER_POLICY = policy(style_src="'self' 'unsafe-inline'")

View = Callable[..., HttpResponse]


def public(view: View, *, seconds: int = CACHED_SECONDS) -> Callable[..., HttpResponseBase]:
    """Make a view read-only and cacheable by everybody, with a tag by which nobody has to load a page twice."""

    @functools.wraps(view)
    def tagged(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = view(request, *args, **kwargs)
        set_response_etag(answer)
        return get_conditional_response(request, etag=answer.headers.get("ETag"), response=answer) or answer

    return require_safe(cache_control(public=True, max_age=seconds)(tagged))


def start(request: HttpRequest) -> HttpResponse:
    """Answer the start page: three doors, and all pages."""
    shelf = library()
    groups = [
        (group, [(row, shelf.pages[row.slug].summary if row.file else row.summary) for row in rows])
        for group, rows in GROUPS
    ]
    return _show(request, "docs/start.html", row=shelf.start.row, page=shelf.start, groups_with_summaries=groups)


def page(request: HttpRequest, slug: str) -> HttpResponse:
    """Answer a page of the Markdown files."""
    if slug not in WRITTEN:
        return missing(request)
    row = WRITTEN[slug]
    before, after = neighbours(row)
    return _show(request, "docs/page.html", row=row, page=library().pages[slug], before=before, after=after)


def found(request: HttpRequest) -> HttpResponse:
    """Answer the page of the search."""
    return _show(request, "docs/search.html", **_search(request, HITS))


def found_at_once(request: HttpRequest) -> HttpResponse:
    """Answer the best of what was found, to stand below the field while somebody types."""
    return _show(request, "docs/found.html", at_once=True, **_search(request, HITS_AT_ONCE))


def pricing(request: HttpRequest) -> HttpResponse:
    """Answer the page of prices, with the estimate that the address asks for."""
    offered = prices(now=timezone.now())
    form = EstimateForm(request.GET.dict(), offered.offers) if offered and offered.offers else None
    return _show(
        request,
        "docs/pricing.html",
        row=row_at("/docs/pricing"),
        prices=offered,
        form=form,
        estimate=form and form.estimate(),
        list_price=LIST_PRICE,
        package=PREPAID,
        percent_below=PREPAID.percent_below(LIST_PRICE),
    )


def explorer(request: HttpRequest) -> HttpResponse:
    """Answer the reference of the API as Swagger UI shows it."""
    answer = _show(request, "docs/explorer.html", row=row_at("/docs/api"))
    answer.headers["Content-Security-Policy"] = EXPLORER_POLICY
    return answer


def download(request: HttpRequest, language: str, name: str) -> HttpResponse:
    """Answer a file of an example, to be saved."""
    return _file(request, example(language, name), name, "text/plain; charset=utf-8")


def download_all(request: HttpRequest, language: str) -> HttpResponse:
    """Answer all files of an example as one archive."""
    return _file(request, archive(language), f"sora2-{language}.zip", "application/zip")


def errors(_request: HttpRequest) -> HttpResponse:
    """Lead the `type` of a problem to the page of errors; the browser keeps the code after the `#`."""
    return HttpResponsePermanentRedirect(WRITTEN["errors"].address)


def home(_request: HttpRequest) -> HttpResponse:
    """Lead to the start page."""
    return HttpResponsePermanentRedirect(START)


def missing(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Answer 404 for what is not there, with what it may have been."""
    if request.path.endswith("/"):
        return HttpResponsePermanentRedirect(f"/docs/{rest}".rstrip("/"))
    name = request.path.rpartition("/")[2].removesuffix(".md").lower()
    alike = [WRITTEN[slug] for slug in get_close_matches(name, WRITTEN)]
    hits = search(name.replace("-", " ").replace("_", " "), library().index, most=HITS_AT_ONCE)
    return _show(request, "docs/missing.html", status=404, alike=alike, hits=hits)


def _search(request: HttpRequest, most: int) -> dict[str, Any]:
    query = request.GET.get("q", "").replace("\0", "").strip()[:QUERY_LENGTH]
    hits: list[Hit] = search(query, library().index, most=most)
    return {"query": query, "hits": hits}


def _show(
    request: HttpRequest, template: str, *, row: Row | None = None, status: int = 200, **context: Any
) -> HttpResponse:
    frame = {"groups": GROUPS, "row": row, "support_email": settings.SUPPORT_EMAIL}
    answer = render(request, template, {**frame, **context}, status=status)
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


def _file(request: HttpRequest, content: bytes | None, name: str, content_type: str) -> HttpResponse:
    if content is None:
        return missing(request)
    disposition = f'attachment; filename="{name}"'
    return HttpResponse(content, content_type=content_type, headers={"Content-Disposition": disposition})
