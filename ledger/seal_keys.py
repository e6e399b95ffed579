"""The Ed25519 keys of the seals: one that signs, from the settings, and those that have signed before it.

They stand in no table: whoever owns the tables cannot sign what they made of them.
"""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings


@dataclass(frozen=True)
class PublicKey:
    """A key that anybody can check seals with."""

    raw: bytes

    @property
    def id(self) -> str:
        """The first 16 hex digits of the SHA-256 of its 32 bytes."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The 32 bytes as base64."""
        return base64.b64encode(self.raw).decode()

    def has_signed(self, text: str, signature: str) -> bool:
        """Say whether this is the key's signature, in base64, of the text's UTF-8 bytes."""
        try:
            raw = base64.b64decode(signature, validate=True)
            Ed25519PublicKey.from_public_bytes(self.raw).verify(raw, text.encode())
        except (ValueError, InvalidSignature):
            return False
        return True


def public_keys() -> list[PublicKey]:
    """Return the key that signs now, and those of SEAL_RETIRED_KEYS."""
    retired = [PublicKey(base64.b64decode(key)) for key in settings.SEAL_RETIRED_KEYS]
    return [PublicKey(_signing_key().public_key().public_bytes_raw()), *retired]


def sign(text: str) -> tuple[str, str]:
    """Return the signature of the text's UTF-8 bytes, in base64, and the id of the key that made it."""
    return base64.b64encode(_signing_key().sign(text.encode())).decode(), public_keys()[0].id


def _signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(settings.SEAL_SIGNING_KEY))
