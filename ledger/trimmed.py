"""What retention has deleted of a chain, in sums: signed with each root, and still proved.

`usage_quarter` keeps the sums of everything that was ever booked. So within each chain

    its sums = those of the entries that are left + those of the entries that were deleted

and the latter are in the table `chain`, under a signature (`compare.py` does the comparing).
"""

from collections.abc import Sequence
from typing import cast

import msgspec
from sqlalchemy import ColumnElement, FromClause, func, literal_column

from ledger.tables import COSTS, ENTRY, halves

SUMMED = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens", *COSTS)

CHAIN_OF = func.coalesce(ENTRY.c.tenant, literal_column("''"))
"""Chain of an entry. It keeps SQLite from an index by tenant, where `seq` finds entries faster."""


class Trimmed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums over entries; what was unknown adds nothing."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    uncached_pusd: int
    cached_pusd: int
    completion_pusd: int

    def __add__(self, other: "Trimmed") -> "Trimmed":
        ours, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Trimmed(*(a + b for a, b in zip(ours, theirs, strict=True)))


NOTHING = Trimmed(0, 0, 0, 0, 0, 0, 0)

_encode = msgspec.json.Encoder().encode


def write_trimmed(trimmed: Trimmed) -> str:
    return _encode(trimmed).decode()


def read_trimmed(stored: str) -> Trimmed:
    """Read what `write_trimmed` wrote. Raises ValueError when it is anything but that."""
    trimmed = msgspec.json.decode(stored, type=Trimmed)
    if write_trimmed(trimmed) != stored:
        raise ValueError("the sums of what was deleted are not in their canonical form")
    return trimmed


def sums(table: FromClause) -> list[ColumnElement[int]]:
    """Columns that `read_sums` makes sums of, from a table that has `SUMMED`."""
    return [half for name in SUMMED for half in halves(table.c[name])]


def read_sums(found: Sequence[object]) -> Trimmed:
    """PostgreSQL gives them as decimals, and both databases give NULL for no rows."""
    numbers = [int(cast("int", each or 0)) for each in found]
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return Trimmed(*(high * 1_000_000 + low for high, low in pairs))
