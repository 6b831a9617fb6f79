"""What can still be relied on, and whom there is to choose among: what all pickers begin with."""

from collections.abc import Sequence
from heapq import nsmallest

from extproc.routing.candidate import TRIES, Asked, Candidate, Rung
from extproc.routing.chance import draw, share
from extproc.routing.settings import PickerSettings

MASK = (1 << 64) - 1
SPREAD, MIX = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
"""Odd, their bits well mixed. Multiples of what was drawn would do for half of the cost, but their
smallest is one of eight 23 times in a hundred, and another 6 times."""


def find_rung(candidates: Sequence[Candidate], now_s: float, settings: PickerSettings) -> Rung:
    """Say what at least half of the looks are fresh enough for. `hash` may turn out to be `any`, when
    there is nothing to hash."""
    half = (len(candidates) + 1) // 2
    fresh_s, known_s = now_s - settings.fresh_s, now_s - settings.in_flight_s
    if sum(each.seen_s >= fresh_s for each in candidates) >= half:
        return "predicted"
    if sum(each.seen_s >= known_s for each in candidates) >= half:
        return "in_flight"
    return "hash"


def admit(asked: Asked, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Leave out those that are not warm yet, as often as their share wants it, unless all are."""
    if all(each.warmth >= 1.0 for each in candidates):
        return candidates
    key = asked.key
    warm = [e for e in candidates if e.warmth >= 1.0 or share(key, e.endpoint) < e.warmth]
    return warm or candidates


def count_requests(candidate: Candidate, fresh_s: float) -> int:
    """Say how many requests it has: as it told at `fresh_s` or later and what came since, or else as
    far as we know."""
    if candidate.seen_s >= fresh_s:
        load = candidate.load
        return load.running + load.waiting + candidate.unseen
    return candidate.in_flight


def order(key: str, costs: Sequence[float], count: int = TRIES) -> list[int]:
    """Find the positions of the smallest, best first. Equal ones in an order drawn from the key."""
    drawn = draw(key, "order")
    ties = [((place * SPREAD ^ drawn) * MIX) & MASK for place in range(len(costs))]
    places = range(len(costs))
    return [place for _, _, place in nsmallest(count, zip(costs, ties, places, strict=True))]


def line_up(
    first: Sequence[str], candidates: Sequence[Candidate], others: Sequence[Candidate]
) -> tuple[str, ...]:
    """Put these first, then as many others as there is room for: `candidates` not among them, then
    those that were left out."""
    line = dict.fromkeys(first)
    for each in (*candidates, *others) if len(line) < TRIES else ():
        line[each.endpoint] = None
        if len(line) >= TRIES:
            break
    return tuple(line)[:TRIES]
