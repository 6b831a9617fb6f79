"""The doubles: what other tests rely on."""

import pytest

from engines.watch.messages import Ended, Picked
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


def test_engines_fall_sick_by_failed_attempts():
    engines = MemoryEngines({"p": ["a:1", "b:1", "c:1"]}, ["a:1"])
    engines.ended(Ended("k", "p", "c:1", 0.0, 200, 0.1, failed=("b:1",)))
    assert [each.endpoint for each in engines.candidates("p")] == ["c:1"]
    assert list(engines.candidates("q")) == []


def test_engines_keep_what_they_are_told():
    engines = MemoryEngines()
    engines.picked(picked := Picked("k", "p", "a:1", 0.0, 1, 0))
    engines.running("k")
    assert (engines.picks, engines.renewed, engines.ends) == ([picked], ["k"], [])
    assert engines.prefixes("p") is engines.prefixes("p")
