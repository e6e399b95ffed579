"""The forms of sales' mails: a mail that is written, and one that is sent again."""

import re

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from pilots.mail_links import MARK
from pilots.mail_models import new_mail_id
from pilots.mail_templates import Draft
from pilots.mails import RECIPIENTS_MOST, Letter
from sora2.forms import NewIdField, PlainForm, text_input

SUBJECT_MAX, BODY_MAX = 300, 20_000


class MailForm(PlainForm):
    """A mail: to whom, about what, its text. `token` is its id, signed: a form that is sent twice writes one mail."""

    token = NewIdField(new_mail_id, salt="pilots.new_mail")
    recipients = forms.CharField(
        label="To",
        max_length=2_000,
        widget=text_input(inputmode="email"),
        help_text=f"Addresses alone, with commas between them; {RECIPIENTS_MOST} at most.",
        error_messages={"required": "Write to whom it goes."},
    )
    subject = forms.CharField(
        label="Subject",
        max_length=SUBJECT_MAX,
        widget=text_input(),
        error_messages={"required": "Write what it is about."},
    )
    body = forms.CharField(
        label="Text",
        max_length=BODY_MAX,
        widget=forms.Textarea(attrs={"rows": 30, "cols": 76}),
        help_text=f"It is kept as you send it. What stands [in brackets] is for you to fill in. {MARK} becomes a "
        "one-time link to the keys that wait to be handed over, made as the mail goes out; never write a key itself.",
        error_messages={"required": "Write something."},
    )

    @classmethod
    def of(cls, draft: Draft) -> "MailForm":
        """Return the form filled with a draft."""
        return cls(initial={"recipients": draft.to, "subject": draft.subject, "body": draft.body})

    def clean_recipients(self) -> list[str]:
        """Return the addresses, each once."""
        written = filter(None, re.split(r"[,;\s]+", self.cleaned_data["recipients"]))
        addresses = list({address.casefold(): address for address in written}.values())
        wrong = [address for address in addresses if not _is_address(address)]
        if wrong:
            raise ValidationError(
                f"Not an address: {', '.join(wrong)}. Write addresses alone, such as mia@example.com."
            )
        if len(addresses) > RECIPIENTS_MOST:
            raise ValidationError(f"These are {len(addresses)}; a mail goes to {RECIPIENTS_MOST} people at most.")
        return addresses

    def clean_body(self) -> str:
        """Return the text with plain line ends."""
        body: str = self.cleaned_data["body"]
        return "\n".join(line.rstrip() for line in body.splitlines()).strip("\n")

    def letter(self, draft: Draft) -> Letter:
        """Return the mail as it was written."""
        said = self.cleaned_data
        return Letter(said["token"], draft, said["recipients"], said["subject"], said["body"])


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True
