"""How a page hands out a paper: as a file, or, where it cannot be set now, with when to ask again."""

from collections.abc import Callable

from django.http import HttpResponse

from ledger.papers.setting import CONTENT_TYPE, Paper, PaperUnavailable

BUSY = "The paper cannot be set for the moment. Nothing is wrong with the books: try again in a few seconds."


def paper_answer(make: Callable[[], Paper]) -> HttpResponse:
    """Answer with the paper that is made."""
    try:
        paper = make()
    except PaperUnavailable:
        return HttpResponse(BUSY, status=503, content_type="text/plain; charset=utf-8", headers={"Retry-After": "5"})
    headers = {"Content-Disposition": f'attachment; filename="{paper.filename}"'}
    return HttpResponse(paper.body, content_type=CONTENT_TYPE, headers=headers)
