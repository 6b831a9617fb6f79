"""API keys: made here, kept only as digests."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from extproc.request import Identity

PREFIX = "sk-headgate-"
"""Lets secret scanners and people recognise one of ours."""


def digest(salt: str, key: str) -> str:
    """Hash a key as policies keep it: HMAC-SHA256 under the policy's salt, in hex.

    A fast hash is right here: our keys carry 192 random bits, so there is nothing to guess, and it
    is paid for on every request (2 us).
    """
    return hmac.new(
        salt.encode(), key.encode("utf-8", "surrogateescape"), hashlib.sha256
    ).hexdigest()


def mint() -> str:
    """Make a new key of 192 random bits."""
    return PREFIX + secrets.token_urlsafe(24)


class KeySource:
    """The keys of one policy version. Looking one up takes the same time whether it is known or
    not: what is compared is its digest, which nobody can choose."""

    def __init__(self, salt: str, identities: Mapping[str, Identity]) -> None:
        self._salt = salt
        self._identities = identities

    def find(self, key: str) -> Identity | None:
        return self._identities.get(digest(self._salt, key))
