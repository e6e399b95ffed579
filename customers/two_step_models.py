"""The second step of signing in as rows. Part of customers.models, which imports this.

django-otp's own models keep keys and recovery codes readable; here the key is encrypted, and of a code there is a hash.
"""

import hashlib
import secrets
from typing import Any

from django.db import models
from django.utils import timezone
from django_otp.models import Device, ThrottlingMixin, TimestampMixin
from django_otp.oath import TOTP

from sora2 import crypto

CODE_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # Without l, o, 0 and 1, which look like others.
CODE_PARTS, CODE_PART_LENGTH = 4, 4
# A code is good in its 30 seconds and in those before and after: clocks differ, and people type slowly.
TOLERANCE = 1


class Authenticator(TimestampMixin, ThrottlingMixin, Device):  # type: ignore[misc] # django-otp says no types.
    """A person's app that shows codes; what is here was confirmed with one. Its key is encrypted.

    After n wrong codes the next one is looked at 2^(n-1) seconds later (django-otp's throttling).
    """

    key_encrypted = models.TextField(editable=False)
    # The number of the last 30 seconds whose code was taken: none is taken twice.
    last_step = models.BigIntegerField(default=-1, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user"], name="customers_authenticator_once")]

    def __str__(self) -> str:
        return f"authenticator of {self.user_id}"

    def get_throttle_factor(self) -> int:
        """Return the seconds that the first wrong code costs (django-otp's)."""
        return 1

    def verify_token(self, token: str) -> bool:
        """Take a code of the app or a recovery code, each once; say whether it was good. The row must be locked."""
        allowed, _ = self.verify_is_allowed()
        if not allowed:
            return False
        good = self._take_code(token) if token.isascii() and token.isdigit() else self._take_recovery_code(token)
        if good:
            self.throttle_reset(commit=False)
            self.set_last_used_timestamp(commit=False)
            self.save()
        else:
            self.throttle_increment()
        return good

    def _take_code(self, token: str) -> bool:
        step = step_of(bytes.fromhex(crypto.decrypt(self.key_encrypted)), token, after=self.last_step)
        if step is not None:
            self.last_step = step
        return step is not None

    def _take_recovery_code(self, token: str) -> bool:
        left = RecoveryCode.objects.filter(authenticator=self, used_at=None, sha256=fingerprint(token))
        return bool(left.update(used_at=timezone.now()))


class RecoveryCode(models.Model):
    """A code on paper that stands in for the app once. Only its SHA-256 is stored."""

    authenticator = models.ForeignKey(Authenticator, on_delete=models.CASCADE, related_name="recovery_codes")
    sha256 = models.CharField(max_length=64, editable=False)
    used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["authenticator", "sha256"], name="customers_recoverycode_once")]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"


def step_of(key: bytes, code: str, *, after: int = -1) -> int | None:
    """Return the number of the 30 seconds that a code is of, if they are about now and after `after`."""
    totp: Any = TOTP(key)
    totp.time = timezone.now().timestamp()
    good = len(code) == 6 and totp.verify(int(code), tolerance=TOLERANCE, min_t=after + 1)
    return int(totp.t()) if good else None


def new_recovery_code() -> str:
    """Return a code of 80 random bits, such as `k3nw-8qfd-r2xa-m7tc`."""
    parts = ("".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_PART_LENGTH)) for _ in range(CODE_PARTS))
    return "-".join(parts)


def fingerprint(code: str) -> str:
    """Return the SHA-256 of a recovery code, however it was typed."""
    return hashlib.sha256("".join(filter(str.isalnum, code.lower())).encode()).hexdigest()
