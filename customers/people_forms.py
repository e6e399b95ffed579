"""The forms about a customer's people: of the administrator, and of whoever holds a link."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import SetPasswordForm, UserCreationForm
from django.contrib.auth.password_validation import password_validators_help_texts

from customers.models import Membership, User
from sora2.forms import OneLine, PlainForm, text_input

if TYPE_CHECKING:
    _UserCreationForm = UserCreationForm[User]
    _SetPasswordForm = SetPasswordForm[User]
else:
    _UserCreationForm, _SetPasswordForm = UserCreationForm, SetPasswordForm


class InviteForm(PlainForm):
    """Whom to invite, and what they become."""

    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        widget=text_input(inputmode="email", autocapitalize="none"),
        help_text="By which you know whom it is for. We send nothing there: you hand the link over.",
    )
    role = forms.ChoiceField(
        label="Role",
        choices=[(role, role) for role in Membership.Role.values],
        initial=Membership.Role.DEVELOPER.value,
    )

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{"auto_id": "invite-%s", **more})


class PasswordLinkForm(PlainForm):
    """Whether the second step goes with the password."""

    two_step_off = forms.BooleanField(
        label="Two-step",
        required=False,
        help_text="Turn it off too, because their phone and recovery codes are lost. The new password alone signs in.",
    )


class JoinForm(_UserCreationForm):
    """Who somebody is who joins with a new account."""

    name = OneLine(
        label="Your name",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text="As your colleagues and our support see it.",
    )
    field_order = ("name", "username", "password1", "password2")

    class Meta:
        model = User
        fields = ("username",)
        labels = {"username": "Sign-in name"}
        help_texts = {"username": "With it you sign in from now on. Letters, digits and @ . + - _"}

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{"label_suffix": "", **more})
        self.fields["username"].widget.attrs.pop("autofocus", None)
        _say_plainly(self, "password1", "password2")


class NewPasswordForm(_SetPasswordForm):
    """A new password, twice."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{"label_suffix": "", **more})
        self.fields["new_password1"].widget.attrs.pop("autofocus", None)
        _say_plainly(self, "new_password1", "new_password2")


def _say_plainly(form: forms.BaseForm, password: str, again: str) -> None:
    """Say what a password must be in a sentence, where Django has a list."""
    form.fields[password].help_text = " ".join(map(str, password_validators_help_texts()))
    form.fields[again].label, form.fields[again].help_text = "The same again", ""
