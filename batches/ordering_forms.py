"""The form with which people order a batch: what they say becomes the body that the API would be sent."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile

from batches.catalogue import DEFAULT_MODEL, Catalogue, LifeCycle, Model
from batches.intake import BATCH_METADATA_MAX, CREDITS_MAX, REQUEST_ID_MAX
from batches.ordering_files import MOST_BYTES, Kind, NotText, Sheet, kind_of, read, text_of, with_plain_ends
from customers.access import Access
from customers.models import Mode, Organization
from customers.owner_forms import OwnerForm
from sora2.forms import MomentField, text_input, whole_number
from sora2.times import timestamp

MIB = 2**20
# More rows than these are folded up: they are still in the form, and can be changed.
ROWS_SHOWN = 200
OWN = ("", "the model's own")


def new_request_id(now: datetime) -> str:
    """Return a request id that nobody has used."""
    return f"web-{now:%Y-%m-%d}-{secrets.token_hex(5)}"


class OrderForm(OwnerForm):
    """What is ordered, and for whom. After `is_valid`: `organization`, `sheet`, and `body`.

    Our own people name the customer and give a reason; a customer's person chooses among their own organizations.
    """

    sheet: Sheet

    kind = forms.ChoiceField(label="Written as", choices=Kind.choices, widget=forms.RadioSelect, initial=Kind.LINES)
    rows = forms.CharField(
        label="Prompts",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off"}),
    )
    file = forms.FileField(
        label="Or a file",
        required=False,
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.jsonl,.ndjson,.txt"}),
        help_text="CSV, JSON lines or text, in UTF-8. It takes the place of what stands in the box.",
    )
    source = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        widget=text_input(),
        error_messages={"required": "Say why you order for a customer."},
        help_text="Why you order for a customer, such as the ticket. It stands in the audit log.",
    )
    mode = forms.ChoiceField(
        label="Mode",
        choices=[(Mode.LIVE, "LIVE: real videos, real credits"), (Mode.TEST, "TEST: simulated, play money")],
        widget=forms.RadioSelect,
    )
    model = forms.ChoiceField(
        label="Model",
        help_text="Of rows that name none. A row that names another model has that model's own length and size.",
    )
    seconds = forms.TypedChoiceField(label="Seconds", required=False, coerce=int, empty_value=None)
    size = forms.ChoiceField(label="Size", required=False)
    webhook_url = forms.CharField(
        label="Webhook",
        required=False,
        widget=text_input(inputmode="url", placeholder="https://"),
        help_text="Told of this batch's end, besides the endpoints that there are. May be empty.",
    )
    request_id = forms.CharField(
        label="Request id",
        max_length=REQUEST_ID_MAX,
        widget=text_input(),
        error_messages={"required": "Give the order an id of your own."},
        help_text="Your own name of the order. The same id never makes a second batch, however often it is sent.",
    )
    max_credits = whole_number(
        "At most, credits", most=CREDITS_MAX, required=False, help_text="It is refused if it costs more."
    )
    deadline = MomentField(
        label="Deadline, UTC", required=False, help_text="What is not submitted by then fails, and is refunded."
    )
    metadata = forms.CharField(
        label="Metadata",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "campaign=spring"}),
        help_text=f"One key=value on each line, {BATCH_METADATA_MAX} at most. Webhooks tell it, too.",
    )

    def __init__(
        self, *given: Any, access: Access, own: Sequence[Organization], catalogue: Catalogue, **more: Any
    ) -> None:
        super().__init__(*given, access=access, own=own, **more)
        self.catalogue = catalogue
        self._offer(catalogue)
        if not self.is_staff:
            del self.fields["reason"]

    @property
    def offered(self) -> list[forms.BoundField]:
        """Return the fields of what the rows are made with, and who is told."""
        return [self[name] for name in ("model", "seconds", "size", "webhook_url")]

    @property
    def more(self) -> list[forms.BoundField]:
        """Return the fields that few need."""
        return [self[name] for name in ("max_credits", "deadline", "metadata")]

    @property
    def says_more(self) -> bool:
        """Say whether one of those is filled in."""
        return any(field.value() for field in self.more)

    @property
    def source_name(self) -> str:
        """Return the file that the rows came from, unless they are written in another way by now."""
        name = str(self["source"].value() or "")
        return name if kind_of(name) == self["kind"].value() else ""

    @property
    def is_long(self) -> bool:
        """Say whether there are many rows."""
        return hasattr(self, "sheet") and len(self.sheet.items) > ROWS_SHOWN

    @property
    def body(self) -> dict[str, Any]:
        """Return the body that the API would be sent, without the request id."""
        said = self.cleaned_data
        body = {
            "items": self.items,
            "webhook_url": said["webhook_url"] or None,
            "max_credits": said["max_credits"],
            "deadline": timestamp(said["deadline"]),
            "metadata": said["metadata"] or None,
        }
        return {name: value for name, value in body.items() if value is not None}

    @property
    def items(self) -> list[Any]:
        """Return the items as the API would be sent them, with the form's model, seconds and size filled in."""
        return [self._with_defaults(item) for item in self.sheet.items]

    def default_of(self, item: Mapping[str, Any], name: str) -> Any:
        """Return what an item has for model, seconds or size: its own, or what the form says for it."""
        if item.get(name) is not None:
            return item[name]
        applies = name == "model" or item.get("model") in (None, self.cleaned_data["model"])
        return self.cleaned_data.get(name) if applies else None

    # --- reading -----------------------------------------------------------------------------------------------

    def clean_metadata(self) -> dict[str, str]:
        """Return what stands on the lines."""
        found: dict[str, str] = {}
        for line in self.cleaned_data["metadata"].splitlines():
            key, equals, value = (part.strip() for part in line.partition("="))
            if not line.strip():
                continue
            if not equals or not key or key in found:
                raise forms.ValidationError(f"Write key=value, each key once: “{line.strip()[:60]}” is not that.")
            found[key] = value
        return found

    def clean(self) -> dict[str, Any]:
        """Find the customer, see that model, length and size fit, and read the rows."""
        super().clean()
        self._fit_model()
        self._read_rows()
        return self.cleaned_data

    def _fit_model(self) -> None:
        said = self.cleaned_data
        model = self.catalogue.models.get(said.get("model", ""))
        if model is None:
            return
        if said.get("seconds") and said["seconds"] not in model.seconds:
            self.add_error(
                "seconds", f"{model.name} makes clips of {either(model.seconds)} seconds. Choose one of them."
            )
        if said.get("size") and said["size"] not in model.sizes:
            self.add_error("size", f"{model.name} makes {either(model.sizes)}. Choose one of them.")

    def _read_rows(self) -> None:
        """Read the file, which then stands in the box, or the box."""
        file: UploadedFile[Any] | None = self.cleaned_data.get("file")
        try:
            text = _text_in(file) if file else with_plain_ends(self.cleaned_data.get("rows", ""))
        except NotText as error:
            self.add_error("file", f"{getattr(file, 'name', '')} cannot be read: {error}")
            return
        kind = Kind(self.cleaned_data.get("kind") or Kind.LINES)
        if file:
            kind = kind_of(file.name or "") or kind
            self._carry(text, kind, file.name or "")
        if len(text.encode()) > MOST_BYTES:
            self.add_error("rows", f"This is more than {MOST_BYTES // MIB} MiB. Split it into several batches.")
            return
        self.sheet = read(text, kind)
        if not self.sheet.items and not self.sheet.faults:
            self.add_error("rows", f"{file.name} has no rows." if file else "Write a prompt, or choose a file.")

    def _carry(self, text: str, kind: Kind, name: str) -> None:
        """Put a file's text into the box: the browser sends a file once, and what is in the box with every step."""
        said = {"rows": text, "kind": kind.value, "source": name[:200]}
        self.cleaned_data.update(said)
        self.data = {**self.data, **said}

    # --- what is on offer --------------------------------------------------------------------------------------

    def _offer(self, catalogue: Catalogue) -> None:
        """Let choose among what is on offer."""
        offered = catalogue.offered
        seconds = sorted({seconds for model in offered for seconds in model.seconds})
        sizes = dict.fromkeys(size for model in offered for size in model.sizes)
        choices: dict[str, list[tuple[Any, str]]] = {
            "model": [(model.name, _in_words(model)) for model in offered],
            "seconds": [OWN, *((number, f"{number} s") for number in seconds)],
            "size": [OWN, *((size, size) for size in sizes)],
        }
        for name, offer in choices.items():
            field = cast(forms.ChoiceField, self.fields[name])
            field.choices = offer
            field.error_messages["invalid_choice"] = "%(value)s is not on offer. Choose another."
        names = [model.name for model in offered]
        self.fields["model"].initial = DEFAULT_MODEL if DEFAULT_MODEL in names else next(iter(names), None)

    def _with_defaults(self, item: Any) -> Any:
        if not isinstance(item, dict):
            return item
        said = {name: self.default_of(item, name) for name in ("model", "seconds", "size")}
        return {**item, **{name: value for name, value in said.items() if value not in (None, "")}}


def either(values: Sequence[Any]) -> str:
    """Return values as a choice: `4, 8 or 12`."""
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}" if first else last


def _text_in(file: "UploadedFile[Any]") -> str:
    """Return an uploaded file's text. Raises NotText."""
    if (file.size or 0) > MOST_BYTES:
        size = (file.size or 0) / MIB
        raise NotText(
            f"it has {size:.1f} MiB, and {MOST_BYTES // MIB} are read at most. Split it into several batches."
        )
    return text_of(file.read())


def _in_words(model: Model) -> str:
    going = ", deprecated" if model.status == LifeCycle.DEPRECATED else ""
    return f"{model.name}: {model.credits:,} credits for {model.base_seconds} s{going}"
