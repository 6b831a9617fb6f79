"""From numbers, as every store has them, to what `Counters` answers."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from extproc.limits.base import Charge, Settlement, Standing, Verdict
from extproc.limits.state import NEVER


class Row(NamedTuple):
    """One charge, judged."""

    remaining: int
    reset_us: int
    wait_us: int


def make_standing(charge: Charge, row: Row) -> Standing:
    remaining, reset_us, wait_us = row
    if not wait_us:
        return Standing(charge.limit, charge.scope, remaining, reset_us / 1e6)
    retry_s = None if wait_us == NEVER else wait_us / 1e6
    return Standing(charge.limit, charge.scope, remaining, reset_us / 1e6, True, retry_s)


def make_verdict(
    charges: Sequence[Charge],
    rows: Iterable[Row],
    *,
    admitted: bool,
    repeated: bool = False,
    settlement: Settlement | None = None,
    waits: bool = False,
) -> Verdict:
    """The wait of the whole is the longest of those that refuse it."""
    standings = tuple(map(make_standing, charges, rows))
    if admitted:
        return Verdict(True, standings, 0.0, repeated, "", settlement)
    pauses = [one.retry_after_s for one in standings if one.blocking and not one.limit.shadow]
    longest_s = None if None in pauses else max(pause or 0.0 for pause in pauses)
    return Verdict(False, standings, longest_s, waits=waits)
