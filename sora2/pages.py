"""What all pages share: the frame of the admin site, the list of an app's pages, files, and rows by cursor."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

M = TypeVar("M", bound=Model)


class ObjectIdConverter:
    """A public id in an address, such as `bat_01k8…`."""

    regex = "[a-z]{3}_[0-9a-z]{26}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class Page(NamedTuple):
    """One page of an app, to be mounted by the admin site: its route, view and name. Only files are `cacheable`."""

    route: str
    view: Callable[..., HttpResponseBase]
    name: str
    cacheable: bool = False


def render(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> TemplateResponse:
    """Answer with a template inside the frame of the admin site."""
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context}, status=status)


def render_once(request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    """Answer with what is shown this once, such as a secret: nothing between us and the person may keep it."""
    response = render(request, template, **context)
    response.headers["Cache-Control"] = "no-store"
    return response


def file_answer(body: bytes, *, content_type: str, filename: str) -> HttpResponse:
    """Answer with a file to be kept, under a name of ours."""
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return HttpResponse(body, content_type=content_type, headers=headers)


@dataclass(frozen=True)
class Rows(Generic[M]):
    """Some rows of a list, and the cursor of those that follow; `start` says that none came before."""

    rows: list[M]
    next: str | None
    start: bool


def rows_after(rows: QuerySet[M], *, key: str, cursor: str, size: int) -> Rows[M]:
    """Return up to `size` rows past `cursor`, in the order of the unique column `key` (`-` for descending).

    The cursor is the last row's value of that column, so pages stay stable while rows are added. One that cannot be
    read starts from the beginning.
    """
    column = key.lstrip("-")
    if cursor:
        try:
            rows = rows.filter(**{f"{column}__{'lt' if key.startswith('-') else 'gt'}": cursor})
        except ValueError:
            cursor = ""
    page = list(rows.order_by(key)[: size + 1])
    more = len(page) > size
    return Rows(page[:size], str(getattr(page[size - 1], column)) if more else None, start=not cursor)


def with_query(name: str, *args: str, **query: str) -> str:
    """Return the address of a page with a query."""
    return f"{reverse(name, args=args)}?{urlencode(query)}"


def text_of(request: HttpRequest, name: str) -> str:
    """Return a parameter of the query, trimmed; the database knows no NUL."""
    return request.GET.get(name, "").replace("\0", "").strip()


def line_of(request: HttpRequest, name: str) -> str:
    """Return a text that a form has sent, on one line; the database knows no NUL."""
    return " ".join(request.POST.get(name, "").replace("\0", "").split())


@dataclass(frozen=True)
class Chip:
    """An active filter in words, and the query that is left without it."""

    words: str
    rest: str


def chips(request: HttpRequest, words: Mapping[str, str]) -> list[Chip]:
    """Return a chip for each of the parameters in `words` that is given."""
    return [
        Chip(f"{word} {text_of(request, name)}", _without(request, name))
        for name, word in words.items()
        if text_of(request, name)
    ]


def _without(request: HttpRequest, name: str) -> str:
    rest = request.GET.copy()
    for dropped in (name, "after"):
        rest.pop(dropped, None)
    return "?" + rest.urlencode()
