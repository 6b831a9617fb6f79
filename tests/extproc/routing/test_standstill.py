"""A GPU that hangs while its server goes on."""

from math import inf

import pytest
from msgspec.structs import replace

from engines.load import Load
from extproc.routing.standstill import Standstill

TOLD = Load(started_s=1.0, prompt_tokens=100.0, generation_tokens=50.0, ttft_buckets=((inf, 3.0),))


def told_at(readings, for_s=10.0):
    """The times at which it is told, of (seconds, requests in flight, changes of the load)."""
    standstill = Standstill(for_s)
    standstill.look(TOLD, 0, 0.0)
    return [
        at_s
        for at_s, there, more in readings
        if standstill.look(replace(TOLD, **more), there, at_s)
    ]


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ([(float(n), 2, {}) for n in range(1, 25)], [10.0, 20.0]),
        ([(float(n), 0, {}) for n in range(1, 25)], []),  # idle
        ([(float(n), n % 9, {}) for n in range(1, 25)], []),  # now and then
        ([(float(n), 2, {"generation_tokens": float(n)}) for n in range(1, 25)], []),
        ([(float(n), 2, {"prompt_tokens": float(n)}) for n in range(1, 25)], []),  # embeddings
        ([(float(n), 2, {"started_s": float(n // 6)}) for n in range(1, 25)], []),
        ([(float(n), 2, {"ttft_buckets": ()}) for n in range(1, 25)], []),  # counts at the end
        ([(5.0, 1, {}), (9.0, 1, {"generation_tokens": 51.0}), (18.0, 1, {"generation_tokens": 51.0}),
          (19.0, 1, {"generation_tokens": 51.0})], [19.0]),
    ],
)  # fmt: skip
def test_counters_that_stand_still_under_load(readings, told):
    assert told_at(readings) == told


def test_it_may_be_switched_off():
    assert told_at([(float(n), 2, {}) for n in range(1, 25)], None) == []
