"""The doubles: what other tests rely on."""

import pytest

from extproc.errors import AuthorityError
from extproc.ports import Ruling
from extproc.stores.memory import MemoryAuthority, MemoryEngines, MemoryJournal, MemoryMeter
from tests.extproc.requests import BARE


def test_the_meter_remembers():
    meter = MemoryMeter()
    meter.decided("deny", 0.1)
    meter.decided("deny", 0.0)
    meter.filter_fault("pick")
    meter.wire_fault("order")
    assert (meter.decisions, meter.faults) == ({"deny": 2}, {"pick": 1, "order": 1})


def test_the_meter_minds_clocks_that_run_backwards():
    with pytest.raises(AssertionError):
        MemoryMeter().decided("deny", -0.1)


def test_the_journal_breaks_on_demand_and_keeps_what_it_had():
    journal = MemoryJournal()
    journal.record(BARE, "v1")
    journal.broken = True
    with pytest.raises(OSError, match="No space"):
        journal.record(BARE, "v1")
    assert journal.requests == [BARE]
    with pytest.raises(AssertionError):
        journal.record(BARE, "")


async def test_an_authority_rules_or_is_down():
    authority = MemoryAuthority(Ruling(True))
    assert (await authority.ask({"identity.user": "ann"})).allows
    authority.ruling = None
    with pytest.raises(AuthorityError):
        await authority.ask({})
    assert authority.asked == [{"identity.user": "ann"}, {}]


def test_engines_fall_sick_by_suspicion():
    engines = MemoryEngines(["a:1"])
    engines.suspect("b:1")
    assert engines.healthy(["a:1", "b:1", "c:1"]) == ["c:1"]
