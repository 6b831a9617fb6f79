import pytest

from faults.answer import End
from faults.excuse import NONE, Excuse
from faults.flaws import flaws, must_have_line
from tests.faults.records import answer, line

KILLED = Excuse(statuses=frozenset({503}))
GONE = Excuse(statuses=frozenset({503}), broken=True, endless=True)
REFUSAL = {"prompt_tokens": None, "completion_tokens": None}
FREE = {"prompt_tokens": 0, "completion_tokens": 0}
UNSETTLED = {"unsettled": True, "status": None, **REFUSAL}

RIGHT = {
    "a whole answer": (answer(), [line()], NONE),
    "a refusal": (
        answer(shape="bad key", status=401, tenant=None, **REFUSAL),
        [line(status=401, tenant=None, **FREE)],
        NONE,
    ),
    "nobody counts what embeddings complete": (
        answer(shape="embeddings", completion_tokens=None),
        [line(completion_tokens=0, n=None)],
        NONE,
    ),
    "a client that left saw less than was sent": (
        answer(shape="leaves midway", end=End.LEFT, completion_tokens=6),
        [line(completion_tokens=8, cut=True)],
        NONE,
    ),
    "a client that left before anything came": (
        answer(shape="leaves before the first token", end=End.LEFT, status=None, **REFUSAL),
        [line(status=0, **REFUSAL)],
        NONE,
    ),
    "503 of a worker that died, before anybody was known": (
        answer(status=503, **REFUSAL),
        [line(status=503, tenant=None, **FREE)],
        KILLED,
    ),
    "cut with Envoy, and nobody tells how it ended": (
        answer(end=End.CUT, completion_tokens=3),
        [line(**UNSETTLED)],
        GONE,
    ),
    "whole, but Envoy died before it could say so": (answer(), [line(**UNSETTLED)], GONE),
    "a refusal whose log line died with Envoy": (
        answer(shape="bad body", status=400, **REFUSAL),
        [],
        GONE,
    ),
    "nobody listened": (answer(end=End.REFUSED, status=None, **REFUSAL), [], GONE),
    "lost on the way": (answer(end=End.LOST, status=None, **REFUSAL), [], GONE),
}

WRONG = {
    "no row": (answer(), [], NONE, "has no row"),
    "no row of what was served, whatever happened": (answer(), [], GONE, "has no row"),
    "a row too many": (answer(), [line(), line(settle_key="key-2")], GONE, "2 times"),
    "a token too many": (answer(), [line(completion_tokens=13)], NONE, "was told (17, 12)"),
    "a token too few": (answer(), [line(prompt_tokens=16)], GONE, "was told (17, 12)"),
    "tokens unknown": (answer(), [line(**REFUSAL)], NONE, "was told (17, 12)"),
    "a refusal that costs": (
        answer(shape="bad key", status=401, tenant=None, **REFUSAL),
        [line(status=401, tenant=None)],
        NONE,
        "was told (0, 0)",
    ),
    "somebody else's": (answer(), [line(tenant="globex")], NONE, "booked for globex"),
    "another n": (answer(), [line(n=2)], NONE, "n is 2"),
    "another status": (answer(), [line(status=500)], NONE, "status 500"),
    "cut, and the client had it all": (answer(), [line(cut=True)], NONE, "booked as cut"),
    "unsettled without a reason": (answer(), [line(**UNSETTLED)], KILLED, "is unsettled"),
    "unsettled, and too dear": (
        answer(),
        [line(unsettled=True, completion_tokens=13)],
        GONE,
        "12 is the most",
    ),
    "less than the client saw": (
        answer(shape="leaves midway", end=End.LEFT, completion_tokens=6),
        [line(completion_tokens=5, cut=True)],
        NONE,
        "saw 6 tokens, 5 are booked",
    ),
    "more than was asked for": (
        answer(shape="leaves midway", end=End.LEFT, completion_tokens=6),
        [line(completion_tokens=201, cut=True)],
        NONE,
        "200 is the most",
    ),
    "a 5xx that nothing explains": (
        answer(status=500, said="oops", **REFUSAL),
        [line(status=500, **FREE)],
        KILLED,
        "answered 500 instead of 200: oops",
    ),
    "a break that nothing explains": (
        answer(end=End.CUT, completion_tokens=3),
        [line(completion_tokens=3, cut=True)],
        KILLED,
        "the connection broke",
    ),
    "no answer at all": (answer(end=End.HUNG), [line()], GONE, "no answer"),
    "taken by nobody, and in the ledger": (
        answer(end=End.REFUSED, status=None, **REFUSAL),
        [line(**UNSETTLED)],
        GONE,
        "nobody took it",
    ),
}


@pytest.mark.parametrize(("asked", "lines", "excuse"), RIGHT.values(), ids=RIGHT)
def test_right(asked, lines, excuse):
    assert not list(flaws(asked, lines, excuse))


@pytest.mark.parametrize(("asked", "lines", "excuse", "words"), WRONG.values(), ids=WRONG)
def test_wrong(asked, lines, excuse, words):
    assert words in " / ".join(flaws(asked, lines, excuse))


def test_what_left_for_an_engine_must_have_a_row():
    assert must_have_line(answer(), GONE)
    assert must_have_line(answer(shape="bad key", status=401), NONE)
    assert not must_have_line(answer(shape="models"), GONE)
    assert must_have_line(answer(end=End.LOST, status=None), NONE)
