from faults.answer import End
from faults.excuse import Excuse, Window
from faults.verdict import judge
from tests.faults.records import ANSWER, LINE, answer, evidence, line

BROKEN = Excuse(broken=True, endless=True)


def test_all_is_well():
    verdict = judge(evidence())
    assert verdict.problems == []
    assert (verdict.requests, verdict.rows, verdict.errors, verdict.broken) == (1, 1, 0, 0)


def test_problems_are_named_by_request_id():
    problems = judge(evidence(lines=[line(completion_tokens=11)], more=["and this"])).problems
    assert problems[0].startswith("t-1 (chat, whole): tokens (17, 11)")
    assert problems[-1] == "and this"


def test_an_excuse_is_for_those_who_were_there():
    lost = answer(request_id="t-2", end=End.LOST, status=None)
    there = judge(evidence([ANSWER, lost], excuse=BROKEN, window=Window(10.9, 12.0)))
    assert there.problems == []
    assert (there.broken, there.absent) == (1, 1)
    elsewhere = judge(evidence([ANSWER, lost], excuse=BROKEN, window=Window(20.0, 22.0)))
    assert len(elsewhere.problems) == 2


def test_answers_that_nobody_vouches_for_are_counted():
    unsettled = line(unsettled=True, prompt_tokens=None, completion_tokens=None, status=None)
    verdict = judge(evidence(lines=[unsettled], excuse=BROKEN))
    assert verdict.problems == []
    assert (verdict.unsettled, verdict.untold) == (1, 1)
    assert (verdict.unattributed_prompt_tokens, verdict.unattributed_completion_tokens) == (17, 12)


def test_a_row_that_is_there_twice():
    twice = [LINE, line(settle_key="key-2")]
    assert any("2 times" in problem for problem in judge(evidence(lines=twice)).problems)
