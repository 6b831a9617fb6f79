import pytest

from bench.goals import judge
from bench.results import OpenRow, RatioRow, Results, StreamRow
from bench.runs import MemoryRun

MIB = 1 << 20


def results(**parts):
    nothing = {"closed": [], "ratios": [], "open": [], "streams": []}
    return Results(**{**nothing, "messages_per_stream": None, "memory": None, **parts})


def open_row(variant, added_p50_us):
    return OpenRow(variant, 100, 3, 1, 1, 1, added_p50_us, 9e9, 9e9, 0)


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ({}, []),
        ({"ratios": [RatioRow("echo", 16, 1.49, 1.51)]}, [True, False]),
        ({"ratios": [RatioRow("echo", 1, 9.0, 9.0), RatioRow("echo", 64, 9.0, 9.0)]}, []),
        ({"ratios": [RatioRow("floor", 16, 9.0, 9.0)]}, []),
        ({"open": [open_row("headgate", 1499)]}, [True]),
        ({"open": [open_row("headgate", 1500), open_row("echo", 9e9)]}, [False]),
        ({"streams": [StreamRow("headgate", 7000, 1.0, 40.0, -0.4)]}, [True]),
        ({"streams": [StreamRow("headgate", 7000, 1.0, 40.0, 100.0)]}, [False]),
        ({"streams": [StreamRow("bare", 7000, 1.0, 40.0, None)]}, []),
        ({"messages_per_stream": 4.0}, [True]),
        ({"messages_per_stream": 404.0}, [False]),
        ({"memory": MemoryRun(10, 100 * MIB, 50, 104 * MIB)}, [True, True]),
        ({"memory": MemoryRun(10, 100 * MIB, 50, 106 * MIB)}, [True, False]),
        ({"memory": MemoryRun(10, 149 * MIB, 50, 151 * MIB)}, [False, True]),
    ],
)
def test_each_goal_is_judged_when_it_was_measured(parts, wanted):
    assert [goal.met for goal in judge(results(**parts))] == wanted


def test_a_verdict_says_what_was_wanted_and_what_was_measured():
    (ratio, _) = judge(results(ratios=[RatioRow("echo", 16, 1.4, 1.2)]))
    assert ratio.wanted == "at most 1.5 x echo"
    assert ratio.measured == "1.40 x"
    (_, growth) = judge(results(memory=MemoryRun(10, 100 * MIB, 50_000, 101 * MIB)))
    assert "50000" in growth.what
    assert growth.measured == "+1.0%"
