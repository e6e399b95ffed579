"""How a page hands out a paper: as a file, or, where it cannot be set now, with when to ask again."""

from collections.abc import Callable

from django.http import HttpResponse

from ledger.papers.setting import CONTENT_TYPE, Paper, PaperUnavailable
from sora2.pages import file_answer

BUSY = "The paper cannot be set for the moment. Nothing is wrong with its figures: try again in a few seconds."


def paper_answer(make: Callable[[], Paper]) -> HttpResponse:
    """Answer with the paper that is made."""
    try:
        paper = make()
    except PaperUnavailable:
        return HttpResponse(BUSY, status=503, content_type="text/plain; charset=utf-8", headers={"Retry-After": "5"})
    return file_answer(paper.body, content_type=CONTENT_TYPE, filename=paper.filename)
