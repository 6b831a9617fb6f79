"""The study of the queue: its arrivals, its policies, and what is made of the answers."""

import pytest

from bench.slo import (
    BEGIN,
    CAPACITY,
    END,
    OVERLOAD,
    VARIANTS,
    Answer,
    Plan,
    Row,
    arrivals,
    judge,
    policy,
    put_table,
    to_table,
)
from extproc.policy.load import load

PLAN = Plan(1, 10, 100)


def test_arrivals_are_the_same_for_all_and_as_many_as_they_should_be():
    found = arrivals(PLAN, 7)
    assert found == arrivals(PLAN, 7) != arrivals(PLAN, 8)
    assert [each.due_s for each in found] == sorted(each.due_s for each in found)
    counted = [each for each in found if each.counts]
    assert len(counted) == pytest.approx(CAPACITY * OVERLOAD * 100, rel=0.1)
    assert len(found) - len(counted) == pytest.approx(CAPACITY * OVERLOAD * 2 * 10, rel=0.15)
    interactive = sum(each.kind == "interactive" for each in counted)
    assert interactive / len(counted) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.title)
def test_policies_are_policies(variant, tmp_path):
    (tmp_path / "policy.yaml").write_text(policy(variant))
    loaded = load([tmp_path])
    assert loaded.limits[0].wait_s == variant.wait_s
    assert {each.name: each.weight for each in loaded.priorities} == dict(variant.weights)


def test_what_counts_as_good():
    answers = [
        Answer("interactive", 200, 0.5, 1.0),
        Answer("interactive", 200, 2.5, 3.0),
        Answer("interactive", 429),
        Answer("interactive", 200, 1.9, 2.2),
        Answer("batch", 200, 3.9, 4.2),
        Answer("batch", 429),
    ]
    assert judge(answers, 2.0) == Row(0.5, 2.5, 0.5, 1.5)
    assert judge([], 1.0) == Row(0.0, 0.0, 0.0, 0.0)


def test_the_table_tells_medians_ranges_and_gains():
    rounds = [[Row(w / 100, 0.2, 0.5, 30.0) for w in (50, 60, 70)] for _ in VARIANTS]
    rounds[-1] = [Row(w / 100, 0.3, 0.4, 33.0) for w in (88, 90, 98)]
    table = to_table(rounds).splitlines()
    assert len(table) == 2 + len(VARIANTS)
    assert "60% (50% to 70%) | +0% | 0.20 s | 50% | 30.0 |" in table[2]
    assert "90% (88% to 98%) | +50% | 0.30 s | 40% | 33.0 |" in table[-1]
    assert {line.count("|") for line in table} == {7}


def test_a_page_keeps_what_stands_around_the_table():
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nA reading.\n"
    new = put_table(page, "TABLE", "SETTING")
    assert new == f"# Title\n\n{BEGIN}\n\nTABLE\n\nSETTING\n\n{END}\n\nA reading.\n"
    assert put_table(new, "TABLE", "SETTING") == new
    assert put_table("", "TABLE", "SETTING") == "TABLE\n\nSETTING\n"
