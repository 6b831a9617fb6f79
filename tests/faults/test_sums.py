from faults.answer import End
from faults.books import Totals
from faults.mix import PROMPT_TOKENS_MAX
from faults.stand import Tokens
from faults.sums import (
    booked_at,
    engines_that_differ,
    most_lost,
    strangers,
    sums_that_differ,
    unattributed,
)
from tests.faults.records import ANSWER, ENGINES, LINE, answer, line, totals


def by_id(*lines):
    return {each.request_id: [each] for each in lines} | {"t-2": []}


def test_a_prompt_counts_once_for_each_answer():
    lines = [LINE, line(n=3), line(n=None), line(endpoint="elsewhere"), line(prompt_tokens=None)]
    assert booked_at("127.0.0.1:1", lines) == Tokens(5 * 17, 4 * 12)
    assert unattributed([LINE], {"127.0.0.1:1": Tokens(20, 15)}) == Tokens(3, 3)


def test_strangers_are_named():
    assert list(strangers([ANSWER], [LINE, line(request_id="x", settle_key="key-9")])) == [
        "x: a row that nobody asked for (key-9)"
    ]


def test_tables_must_agree():
    good = totals([LINE])
    assert not list(sums_that_differ([LINE], {"entry": good, "request": good}))
    assert list(sums_that_differ([LINE], {"entry": Totals(2, 34, 24, 0), "request": good}))


def test_the_ledger_is_never_above_an_engine():
    few = {"127.0.0.1:1": Tokens(17, 11), "127.0.0.1:2": Tokens(0, 1)}
    (said,) = engines_that_differ([ANSWER], [LINE], by_id(LINE), few)
    assert said.startswith("127.0.0.1:1: more is booked")


def test_what_engines_have_beyond_it_must_be_explained():
    more = {"127.0.0.1:1": Tokens(17, 13)}
    assert not list(engines_that_differ([ANSWER], [LINE], by_id(LINE), ENGINES))
    (said,) = engines_that_differ([ANSWER], [LINE], by_id(LINE), more)
    assert "are booked for nobody" in said
    again = line(attempts=2)
    assert not list(engines_that_differ([ANSWER], [again], by_id(again), more))


def test_what_may_be_lost():
    left = answer(shape="leaves midway", end=End.LEFT)
    cut = line(completion_tokens=8, cut=True)
    assert most_lost([left], by_id(cut)) == Tokens(0, 200 - 8)
    unknown = line(prompt_tokens=None, completion_tokens=None, unsettled=True)
    assert most_lost([ANSWER], by_id(unknown)) == Tokens(PROMPT_TOKENS_MAX, 12)
    gone = answer(request_id="t-2", end=End.LOST, status=None)
    assert most_lost([gone], by_id()) == Tokens(PROMPT_TOKENS_MAX, 12)
    assert most_lost([ANSWER], by_id(LINE)) == Tokens(0, 0)
