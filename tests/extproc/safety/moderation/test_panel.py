"""Who judges: rules, parts of long texts, and services that do not answer."""

import pytest

from extproc.safety.moderation.panel import (
    MOST_PARTS,
    PART_CHARS,
    PART_OVERLAP_CHARS,
    Panel,
    Service,
    cut,
    find_block,
)
from extproc.safety.moderation.rules import Hit, Hold, Rule, UnjudgedError
from tests.extproc.safety.moderation.answers import WORDS, Judge, bench, panel

JUDGED = Rule("judged", service="judge")


async def test_all_services_are_asked_at_once_and_each_rule_counts():
    asked, slow = [], Judge()
    rules = (JUDGED, Rule("tags", service="judge", action="tag"), Rule("b", service="other"))
    services = {"judge": Service(slow), "other": Service(Judge(score=0.1))}
    seat = Panel(rules, services, lambda *told: asked.append(told)).seat("t", "m", "request")
    hits = await seat.ask(["good", "bad"])
    assert [[each.rule for each in some] for some in hits] == [[], ["judged", "tags"]]
    assert len(slow.asked) == 1, "two rules are one question"
    assert sorted(asked) == [("judge", "ok"), ("other", "ok")]
    assert find_block(hits[1]) == Hit("judged", "violence", "block")


async def test_an_empty_text_is_not_asked_about():
    judge = Judge()
    assert await bench(JUDGED, judge=judge).ask(["", " \n"]) == [(), ()]
    assert not judge.asked


async def test_one_that_does_not_answer():
    told = []
    down = Judge(fault=True)
    with pytest.raises(UnjudgedError):
        await bench(JUDGED, judge=down, asked=lambda *each: told.append(each)).ask(["x"])
    assert told == [("judge", "fault")]
    assert await bench(JUDGED, judge=down, on_fault="continue").ask(["x"]) == [[]]


async def test_a_text_that_is_too_long_to_be_judged():
    text = "x" * (PART_CHARS * (MOST_PARTS + 4))
    with pytest.raises(UnjudgedError):
        await bench(JUDGED).ask([text])
    judge = Judge()
    assert await bench(JUDGED, judge=judge, on_fault="continue").ask([text]) == [()]
    assert not judge.asked


@pytest.mark.parametrize("length", [1, PART_CHARS - 1, PART_CHARS, PART_CHARS + 1, 50_000])
def test_parts_overlap_and_leave_nothing_out(length):
    text = "".join(chr(0x4E00 + n % 20_000) for n in range(length))
    parts, owners = cut(["", text])
    assert set(owners) == {1}
    assert parts[0] + "".join(each[PART_OVERLAP_CHARS:] for each in parts[1:]) == text
    assert all(len(each) <= PART_CHARS for each in parts)


def test_a_bench_is_as_strict_as_its_strictest_rule():
    one = bench(
        Rule("a", words=("x",), hold=Hold(8, 900)), Rule("b", words=("y",), hold=Hold(64, 100))
    )
    assert one.hold() == Hold(8, 100)
    assert (one.asks, one.blocks) == (False, True)
    assert not bench(Rule("a", words=("x",), action="tag")).blocks
    assert bench(JUDGED).reader() is None
    assert not bench(JUDGED).read("anything")


def test_rules_of_others_do_not_count():
    other = Rule("other", words=("a very long phrase of somebody else",), tenants={"globex"})
    seat = panel(WORDS, other).seat("acme", "m", "answer")
    assert [each.name for each in seat.rules] == ["words"]
    assert not seat.read("a very long phrase of somebody else")
    reader = seat.reader()
    reader.feed("x" * 40)
    assert reader.clear == 40 - len("kill them")
