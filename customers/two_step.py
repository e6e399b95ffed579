"""The second step of signing in: an app on the phone that shows codes, and codes on paper for when it is lost."""

import secrets
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from django.db import transaction

from customers.models import Authenticator, RecoveryCode, User
from customers.services import audit, end_sessions
from customers.two_step_models import fingerprint, new_recovery_code, step_of
from sora2 import crypto

ISSUER = "Sora2 Enterprise"
KEY_BYTES = 20
RECOVERY_CODES = 10


class WrongCode(Exception):
    """The code is not the one that the app shows now."""


class NoAuthenticator(Exception):
    """The person has none."""


@dataclass(frozen=True)
class Checked:
    """Whether a code was good; and until when none is looked at, after several that were not."""

    good: bool
    locked_until: datetime | None = None


def authenticator_of(user: User) -> Authenticator | None:
    """Return the person's authenticator, if they have set one up."""
    found: Authenticator | None = Authenticator.objects.filter(user=user).first()
    return found


def new_key() -> str:
    """Return a new key for an app, encrypted: to be shown until it is confirmed."""
    return crypto.encrypt(secrets.token_hex(KEY_BYTES))


def in_letters(key: str) -> str:
    """Return an encrypted key as an app takes it when it is typed: base32."""
    return b32encode(_bytes(key)).decode()


def app_address(user: User, key: str) -> str:
    """Return what the QR code says to the app: `otpauth://totp/…`."""
    terms = {"secret": in_letters(key), "issuer": ISSUER, "algorithm": "SHA1", "digits": 6, "period": 30}
    return f"otpauth://totp/{quote(f'{ISSUER}:{user.username}')}?{urlencode(terms, quote_via=quote)}"


def set_up(*, user: User, key: str, code: str, now: datetime) -> list[str]:
    """Take the app with this encrypted key, instead of the one before, and return ten recovery codes, shown this once.

    `code` proves that the app has the key. All other sessions end: they never saw a code of it. Raises WrongCode.
    """
    step = step_of(_bytes(key), code) if code.isascii() and code.isdigit() else None
    if step is None:
        raise WrongCode
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        replaced, _ = Authenticator.objects.filter(user=user).delete()
        app = Authenticator.objects.create(user=user, name="app", key_encrypted=key, last_step=step)
        codes = _new_codes(app)
        end_sessions(user=user, now=now)
        _audit(user, "two_step.set_up", actor=user.pk, replaced=bool(replaced))
    return codes


def check(*, user: User, code: str, address: str) -> Checked:
    """Take a code of the app or a recovery code, which is good once. What is refused is written down."""
    with transaction.atomic():
        app = Authenticator.objects.select_for_update().filter(user=user).first()
        if app is None:
            return Checked(good=False)
        allowed, why = app.verify_is_allowed()
        if not allowed:
            return Checked(good=False, locked_until=why["locked_until"])
        by_paper = not (code.isascii() and code.isdigit())
        good = app.verify_token(code)
        if not good or by_paper:
            detail: dict[str, Any] = {"address": address, "failures": app.throttling_failure_count}
            if good:
                detail = {"address": address, "left": codes_left(app)}
            act = "two_step.recovery_code" if by_paper else "two_step.code"
            _audit(user, act, actor=user.pk if good else "nobody", outcome="done" if good else "refused", **detail)
        return Checked(good=good)


def renew_codes(*, user: User) -> list[str]:
    """Replace the recovery codes and return the new ones, shown this once. Raises NoAuthenticator."""
    with transaction.atomic():
        app = Authenticator.objects.select_for_update().filter(user=user).first()
        if app is None:
            raise NoAuthenticator
        RecoveryCode.objects.filter(authenticator=app).delete()
        codes = _new_codes(app)
        _audit(user, "two_step.renew_codes", actor=user.pk)
    return codes


def turn_off(*, user: User, now: datetime) -> None:
    """Forget the person's app and codes, and end all their other sessions. Without an app it changes nothing."""
    with transaction.atomic():
        gone, _ = Authenticator.objects.filter(user=user).delete()
        if gone:
            end_sessions(user=user, now=now)
            _audit(user, "two_step.turn_off", actor=user.pk)


def reset(*, user: User, by: User, reason: str, now: datetime) -> None:
    """Forget the app and the codes of somebody who lost both, and end their sessions. Raises NoAuthenticator."""
    with transaction.atomic():
        gone, _ = Authenticator.objects.filter(user=user).delete()
        if not gone:
            raise NoAuthenticator
        end_sessions(user=user, now=now)
        _audit(user, "two_step.reset", actor=by.pk, reason=reason)


def codes_left(app: Authenticator) -> int:
    """Return how many recovery codes are left."""
    return int(RecoveryCode.objects.filter(authenticator=app, used_at=None).count())


def _new_codes(app: Authenticator) -> list[str]:
    codes = [new_recovery_code() for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(authenticator=app, sha256=fingerprint(code)) for code in codes)
    return codes


def _bytes(key: str) -> bytes:
    return bytes.fromhex(crypto.decrypt(key))


def _audit(user: User, act: str, *, actor: str, outcome: str = "done", **detail: Any) -> None:
    audit(actor=actor, action=act, subject=user.pk, outcome=outcome, detail={"username": user.username, **detail})
