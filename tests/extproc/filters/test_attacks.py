"""What is told of attacks."""

import pytest

from extproc.filters.attacks import MOST_RULES, Told, tell
from extproc.safety.injection.firewall import Verdict
from tests.extproc.filters.attacked import ATTACK, World, send


@pytest.mark.parametrize("action", ["deny", "tag"])
async def test_counted_and_written_down_without_the_text(action):
    world = World({"action": action})
    await world.send(("user", ATTACK))
    assert world.meter.seen == [("override", "user", action)]
    (record,) = world.audit.records
    assert record.members.keys() == {"score", "rules", "version", "place"}
    assert (record.at_ms, record.tenant, record.object) == (1500, "acme", "big")


def test_the_header_names_a_few_rules_and_no_text():
    (guard,) = World({}).guards
    verdict = guard._entries[0].rules.judge([])
    assert tell("tag", verdict, "7") == {"firewall": "tag; score=0.00; rules=; version=7"}
    assert MOST_RULES > 0
    assert verdict == Verdict(0.0, ())


def test_who_wants_to_hear_nothing_hears_nothing():
    Told().write(send(("user", "hi")), "firewall.leaked", "cut", {})
