"""LIVE or TEST: which mode the pages show. A customer's people have a switch for it; our staff see both, by filter.

The switch says what lists and forms begin with, and nothing else: a page of one object is in that object's mode, an
address that names a mode is in that one, and a form carries the mode that it was opened in. So what was opened in test
stays test, also when the switch is moved in another window before it is sent.
"""

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from customers.models import Mode
from customers.pages import is_staff
from sora2.pages import Chip, Page, chips, text_of


def switch_of(request: HttpRequest) -> Mode:
    """Return where the switch of the person who asks stands: live until they move it. Staff's is live for ever."""
    kept = "" if is_staff(request) else request.session.get("mode", "")
    return Mode(kept) if kept in Mode.values else Mode.LIVE


def mode_of(request: HttpRequest) -> str:
    """Return the mode that a page is to show: what its address says, right or wrong, else the switch's."""
    return text_of(request, "mode") or switch_of(request).value


def mode_for_form(request: HttpRequest, asked: str) -> Mode:
    """Return the mode that a form is opened in: the one asked for if there is such a one, else the switch's."""
    return Mode(asked) if asked in Mode.values else switch_of(request)


def listed_mode(request: HttpRequest) -> str:
    """Return the mode that a list of both modes is narrowed to: for staff only when they ask for one."""
    return text_of(request, "mode") if is_staff(request) else mode_of(request)


def chips_of(request: HttpRequest, words: Mapping[str, str]) -> list[Chip]:
    """Return a chip for each filter of a list that is given, but for the mode where there is a switch for it."""
    return chips(request, {name: said for name, said in words.items() if name != "mode" or is_staff(request)})


@require_POST
def switch_mode(request: HttpRequest) -> HttpResponseBase:
    """Move the switch, and show home in that mode: what was open may be of the other."""
    wanted = request.POST.get("mode")
    if wanted in Mode.values and not is_staff(request):
        request.session["mode"] = wanted
    return HttpResponseRedirect(reverse("admin:index"))


PAGES = [Page("mode", switch_mode, "switch_mode")]
