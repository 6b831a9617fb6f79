"""The journal entry before a request leaves."""

import pytest

from extproc.filters.settle import Settle
from extproc.pipeline import Pipeline
from extproc.stores.memory import MemoryJournal, MemoryMeter
from tests.extproc.requests import BARE


async def test_what_leaves_is_written_down_first():
    journal = MemoryJournal()
    assert await Settle(journal, "v1").decide(BARE) is BARE
    assert journal.requests == [BARE]


async def test_the_entry_names_the_policy():
    noted = []

    class Note(MemoryJournal):
        def record(self, request, policy):
            noted.append((request.settle_key, policy))

    await Settle(Note(), "v7").decide(BARE)
    assert noted == [("k1", "v7")]


async def test_a_full_disk_is_a_fault_of_one_who_may_be_skipped():
    journal, meter = MemoryJournal(), MemoryMeter()
    journal.broken = True
    settle = Settle(journal, "v1")
    with pytest.raises(OSError, match="No space"):
        await settle.decide(BARE)
    settle.needs = frozenset()  # the facts do not matter here
    judged = await Pipeline([settle], "v1", meter).judge_head(BARE)
    assert judged.stop is None
    assert meter.faults == {"settle": 1}
