"""The forms about leads and signals."""

from datetime import datetime
from typing import Any

from django import forms

from pilots import leads
from pilots.models import KIND_OF, Lead, Signal, SignalKind
from sora2.forms import MomentField, OneLine, PlainForm, text_input

STAGES = {stage.value: stage.value.replace("_", " ") for stage in Lead.Stage}
GROUPS = [
    (kind.value, [(code.value, code.label) for code in Signal.Code if KIND_OF[code] == kind]) for kind in SignalKind
]


def note_field(label: str, *, help_text: str = "", required: bool = True) -> OneLine:
    """Return a field for a note."""
    widget = forms.Textarea(attrs={"rows": 2})
    return OneLine(label=label, max_length=leads.NOTE_MAX, required=required, widget=widget, help_text=help_text)


class ContactForm(PlainForm):
    """A company, and whom we talk to there."""

    company = OneLine(label="Company", max_length=200, widget=text_input())
    contact_name = OneLine(label="Contact", max_length=150, widget=text_input(), help_text="As the mails greet them.")
    contact_email = forms.EmailField(
        label="E-mail", max_length=254, widget=text_input(inputmode="email", autocapitalize="none")
    )


class LeadForm(ContactForm):
    """A new lead, and where it comes from."""

    note = note_field("Source", help_text="Where it comes from: a trade fair, a reference, a list.")


class MoveForm(PlainForm):
    """Where a lead is to be moved. The stages that say what was done are refused with that reason."""

    stage = forms.ChoiceField(label="Stage", choices=list(STAGES.items()))
    note = note_field("Note", required=False, help_text="Needed where it goes back: why.")

    def __init__(self, *given: Any, lead: Lead, **more: Any) -> None:
        super().__init__(*given, **{"auto_id": "move-%s", **more})
        offered = [stage for stage in leads.BY_HAND if stage != lead.stage]
        later = [stage for stage in offered if leads.is_after(stage, lead.stage)]
        self.initial["stage"] = (later or offered)[0].value
        # What is offered; what is asked for all the same is refused with its reason.
        self.fields["stage"].widget.choices = [(stage.value, STAGES[stage.value]) for stage in offered]


class NoteForm(PlainForm):
    """Something to write down."""

    note = note_field("Note")

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{"auto_id": "note-%s", **more})


class LostForm(PlainForm):
    """Why a lead is lost; or, of a lost one, what is said as it is taken up again."""

    reason = note_field("Why", required=False)

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{"auto_id": "lost-%s", **more})


class SignalForm(PlainForm):
    """What was seen, when, and what was said."""

    code = forms.ChoiceField(label="Signal", choices=GROUPS)
    seen_at = MomentField(label="Seen at, UTC")
    note = note_field("Note", required=False, help_text="Who said it, in which words.")

    def __init__(self, *given: Any, now: datetime, **more: Any) -> None:
        super().__init__(*given, **{"auto_id": "signal-%s", "initial": {"seen_at": now}, **more})
        self.fields["seen_at"].now = now  # type: ignore[attr-defined]
