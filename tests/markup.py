"""What a page holds: its links, and its forms as a browser would send them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class Form:
    """A form: where it goes, how, the fields as they are filled in, and the words on its buttons.

    `elsewhere` is where buttons send it that have an address of their own.
    """

    action: str
    method: str
    fields: dict[str, Any] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.form: Form | None = None
        self.select = self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if tag == "form":
            self.form = Form(given.get("action") or "", (given.get("method") or "get").lower())
            self.forms.append(self.form)
        if self.form is not None:
            self._inside(self.form, tag, given)

    def _inside(self, form: Form, tag: str, given: dict[str, str | None]) -> None:
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "input" and given.get("type") == "submit":
            form.buttons.append(value)
        elif tag == "input" and name:
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                form.fields[name] = value or ("on" if given.get("type") == "checkbox" else "")
        elif tag == "select":
            self.select = name
        elif tag == "option" and self.select and (self.select not in form.fields or "selected" in given):
            form.fields[self.select] = value
        elif tag == "textarea":
            self.text = name
            form.fields[name] = ""
        elif tag == "button":
            form.buttons.append("")
            form.elsewhere += filter(None, [given.get("formaction")])
            self.text = "button"

    def handle_data(self, data: str) -> None:
        if self.form is None or not self.text:
            return
        if self.text == "button":
            self.form.buttons[-1] += data
        else:
            self.form.fields[self.text] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        if tag in ("select", "textarea", "button"):
            self.select = self.text = ""


def links_of(response: Any) -> list[str]:
    """Return where the links of a page lead, as they are written."""
    return _read(response).links


def forms_of(response: Any) -> list[Form]:
    """Return the forms of a page; what has no address goes to that of the page."""
    forms = _read(response).forms
    for form in forms:
        form.action = form.action or response.request["PATH_INFO"]
    return forms


def form_to(forms: Iterable[Form], address: str) -> Form:
    """Return the form among these that is sent to this address."""
    found = [form for form in forms if address in (form.action, *form.elsewhere) and form.method == "post"]
    assert found, f"no form leads to {address}"
    return found[0]


def _read(response: Any) -> _Reader:
    reader = _Reader()
    reader.feed(response.content.decode())
    return reader
