"""Where a page ends. A cursor fits the question it came with, asked by the same identity.

It holds a position and the period that the first page was about, so that `since=24h` means the
same on every page. It grants nothing: whose rows are shown never depends on it.
"""

import base64
import binascii
from collections.abc import Iterable
from hashlib import blake2b
from typing import Annotated

import msgspec

from sidecars.common.errors import Code, Refusal
from sidecars.common.identity import Identity

MAX_CHARS = 40_000
"""A row's place may hold a value of every dimension. Envoy takes 60 KiB of URL and headers."""

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_214_400_000)]
"""Up to the end of the year 9999, almost."""
Place = tuple[int | str | None, ...]
"""Where a row stands in the order of an answer."""


BAD = "cursor: it is none, or that of another question; begin again at the first page."


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    bound: str
    """To the question and to who asks: `bind`."""
    since_ms: Milliseconds
    until_ms: Milliseconds
    after: Place


def bind(identity: Identity, path: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Name a question and who asks it. `parameters` as sent, less those that may differ by page."""
    who = (identity.scope, identity.tenant, identity.project if identity.scope == "project" else "")
    asked = msgspec.json.encode((who, path, sorted(parameters)))
    return blake2b(asked, digest_size=12).hexdigest()


def write_cursor(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def read_cursor(text: str, bound: str) -> Cursor:
    """Raises: Refusal for one that is none, or another question's."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=Cursor)
    except (binascii.Error, ValueError):
        raise bad_cursor() from None
    if cursor.since_ms >= cursor.until_ms or cursor.bound != bound:
        raise bad_cursor()
    return cursor


def bad_cursor() -> Refusal:
    return Refusal(Code.INVALID_REQUEST, BAD, "cursor")
