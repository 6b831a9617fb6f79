r"""The hash chain: each entry of a tenant carries a hash of itself and of all before it. Pure.

    hash = SHA-256(hash of the entry before, 32 bytes; for the first: zeros
                   + the columns of `entry` in their order, without `hash`, as a JSON array)

JSON as RFC 8259 has it, UTF-8, no white space; numbers are whole; in strings only `"`, `\`, and
control characters are escaped, by `\b \f \n \r \t` or `\u00xx` in lower case. That is what
`json.dumps(columns, ensure_ascii=False, separators=(",", ":"))` gives in Python.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec

Content = Sequence[str | int | None]
"""An entry's columns in their order, without its hash."""

_encode = msgspec.json.Encoder().encode


class Link(msgspec.Struct, frozen=True):
    """Where a chain stands."""

    length: int = 0
    """Entries ever booked."""
    head: bytes = bytes(32)
    """Hash of the last."""


def chain_of(tenant: str | None) -> str:
    """Name the chain of a tenant: requests of nobody known have one of their own, ''."""
    return tenant or ""


def entry_hash(previous: bytes, content: Content) -> bytes:
    """Hash one entry behind `previous`: about 3 us."""
    return sha256(previous + _encode(content)).digest()
