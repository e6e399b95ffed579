"""Secrets that must be read back (webhook secrets) are encrypted at rest with keys from ENCRYPTION_KEYS.

The first key encrypts, all of them decrypt: to rotate, put a new key in front, re-save, drop the old one.
"""

import functools

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class UnreadableSecret(Exception):
    """No key of ENCRYPTION_KEYS opens this secret: put back the key that it was written with."""


def encrypt(text: str) -> str:
    """Return `text` encrypted with the first of ENCRYPTION_KEYS, as ASCII."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Return what `encrypt` was given. Raises UnreadableSecret when no configured key fits."""
    try:
        return _fernet().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise UnreadableSecret from error


@functools.cache
def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])
