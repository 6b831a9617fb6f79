"""Sums of entries by dimensions and quarter of an hour, which make reports fast. Pure.

Entries add to the sums and reversals take away again, so that at any time

    usage_quarter = GROUP BY over entry

TTFT is summed up as a histogram. Its slots are 16 for each doubling, so that the middle of a slot
is at most 1/32 (3 %) away from any value in it; they need integers alone, and give the same on
every machine.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import itemgetter
from struct import iter_unpack, pack

import msgspec

from ledger.booking import Values
from ledger.tables import AMOUNTS, COSTS, COUNTS, DIMENSIONS, ENTRY, FLAGS, QUARTER_MS

Dimensions = Values
"""Values of `tables.DIMENSIONS`, in their order."""

Histogram = dict[int, int]
"""Values by slot."""

SUMS = (*COUNTS, *AMOUNTS)
"""Columns of a tally, in their order."""

_PLACES = {name: place for place, name in enumerate(column.name for column in ENTRY.c)}
_dimensions = itemgetter(*(_PLACES[name] for name in DIMENSIONS))
_amounts = itemgetter(*(_PLACES[name] for name in (*FLAGS, *AMOUNTS)))
_costs = itemgetter(*(_PLACES[name] for name in COSTS))
_START, _REQUESTS = _PLACES["start_ms"], _PLACES["requests"]
_STATUS, _DENIED, _TTFT = _PLACES["status"], _PLACES["deny_reason"], _PLACES["ttft_us"]
_SLOTS = 16
"""For each doubling."""
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Tally:
    """The sums of one combination of dimensions in one quarter."""

    sums: list[int] = field(default_factory=lambda: [0] * len(SUMS))
    ttft: Histogram = field(default_factory=dict[int, int])


Tallies = dict[tuple[Dimensions, int], Tally]
"""By dimensions and `bucket_ms`."""


def add_up(entries: Iterable[Values]) -> Tallies:
    """Sum up entries: about 4 us each."""
    tallies: Tallies = {}
    for entry in entries:
        add(tallies, entry)
    return tallies


def add(tallies: Tallies, entry: Values) -> None:
    """Add one entry to the tally it belongs to."""
    start_ms, requests = entry[_START], entry[_REQUESTS]
    assert isinstance(start_ms, int)
    assert isinstance(requests, int)
    key = _dimensions(entry), start_ms - start_ms % QUARTER_MS
    tally = tallies.get(key)
    if tally is None:
        tally = tallies[key] = Tally()
    sums = tally.sums
    sums[0] += requests
    if entry[_DENIED] is not None:
        sums[1] += requests
    if None in _costs(entry):
        sums[2] += requests
    for place, amount in enumerate(_amounts(entry), 3):
        if amount:
            sums[place] += amount
    status, ttft_us = entry[_STATUS], entry[_TTFT]
    if isinstance(ttft_us, int) and isinstance(status, int) and 200 <= status < 300:
        slot = slot_of(ttft_us)
        tally.ttft[slot] = tally.ttft.get(slot, 0) + requests


def merge(tallies: Tallies, others: Tallies) -> None:
    """Add `others` to `tallies`."""
    for key, other in others.items():
        tally = tallies.setdefault(key, Tally())
        tally.sums = [ours + theirs for ours, theirs in zip(tally.sums, other.sums, strict=True)]
        merge_histogram(tally.ttft, other.ttft)


def digest(dimensions: Dimensions) -> bytes:
    """Name a combination of dimensions."""
    return blake2b(_encode(dimensions), digest_size=16).digest()


def slot_of(us: int) -> int:
    """Find the slot of a value: exact below 32, then 16 slots for each doubling."""
    shift = max(us.bit_length() - _SLOTS.bit_length(), 0)
    return shift * _SLOTS + (us >> shift)


def middle_of(slot: int) -> int:
    """Tell the value in the middle of a slot."""
    if slot < 2 * _SLOTS:
        return slot
    shift = slot // _SLOTS - 1
    return ((slot - shift * _SLOTS) << shift) + (1 << shift) // 2


def pack_histogram(histogram: Mapping[int, int]) -> bytes:
    """Write a histogram as pairs of slot and count, in order: 2 and 4 bytes, little-endian."""
    pairs = sorted((slot, count) for slot, count in histogram.items() if count)
    return b"".join(pack("<HI", slot, count) for slot, count in pairs)


def read_histogram(packed: bytes | None) -> Histogram:
    return dict(iter_unpack("<HI", packed or b""))


def read_histograms(packed: bytes) -> Histogram:
    """Add up any number of histograms, written one behind the other: 0.1 us for each pair."""
    histogram: Histogram = {}
    for slot, count in iter_unpack("<HI", packed):
        histogram[slot] = histogram.get(slot, 0) + count
    return histogram


def merge_histogram(histogram: Histogram, other: Mapping[int, int]) -> None:
    """Add `other` to `histogram`."""
    for slot, count in other.items():
        histogram[slot] = histogram.get(slot, 0) + count


def quantile(histogram: Mapping[int, int], share: float) -> int | None:
    """Find the value at the nearest rank, within 1/32 of it; None when there are no values."""
    rank = math.ceil(share * sum(histogram.values()))
    if rank <= 0:
        return None
    for slot in sorted(histogram):
        rank -= histogram[slot]
        if rank <= 0:
            return middle_of(slot)
    return None
