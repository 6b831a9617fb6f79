"""What comes with being a filter, and what does not."""

import pytest

from extproc.decision import Outcome
from extproc.filter import AnswerMode, Filter
from tests.extproc.requests import BARE


class Pass(Filter):
    name = "pass"

    async def decide(self, request):
        return request


class Undecided(Filter):
    name = "undecided"


async def test_only_decide_must_be_written():
    one = Pass()
    assert await one.decide(BARE) is BARE
    assert one.transform(BARE) is None
    await one.settle(Outcome({}, 200, 1, ()))
    assert (one.needs, one.provides, one.on_fault) == (frozenset(), frozenset(), "deny")
    await one.renew(Outcome({}, 0, 1, (), running=True))
    assert one.wish(BARE) is AnswerMode.NONE, (
        "no byte of an answer is asked for unless somebody does"
    )


def test_one_that_cannot_decide_cannot_be_made():
    with pytest.raises(TypeError, match="decide"):
        Undecided()


def test_answer_modes_are_in_the_order_of_their_cost():
    assert sorted(AnswerMode, key=lambda mode: mode.value) == [
        AnswerMode.NONE, AnswerMode.STREAMED, AnswerMode.DUPLEX,
    ]  # fmt: skip
