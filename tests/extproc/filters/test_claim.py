"""What is claimed of limits, before anybody is asked."""

import msgspec
import pytest

from extproc.filter import AnswerMode, Shown
from extproc.filters.claim import make_claim
from extproc.limits.amounts import Estimate
from extproc.limits.reach import Reach
from extproc.limits.stop import SLICE_TOKENS
from extproc.request import Kind
from tests.extproc.filters.test_limits import CALLS, SLOTS, TPM, Desk

HARD = msgspec.structs.replace(TPM, name="hard")
SOFT_REACH = Reach(limit=TPM, per=("tenant",))
STOPPING = Reach(limit=HARD, per=("user",), stop=True, ample=10_000)


def ask(*, duplex=False, **size):
    request = Desk().request(user="ann", **size)
    return request.having(Shown(AnswerMode.DUPLEX)) if duplex else request


def amounts(request, *met):
    return [each.amount for each in make_claim(request, met, None).charges]


def test_one_charge_for_each_limit_in_its_scope_and_unit():
    reaches = [Reach(limit=each, per=("user",)) for each in (TPM, SLOTS, CALLS)]
    claim = make_claim(ask(), reaches, None)
    assert [each.limit for each in claim.charges] == [TPM, SLOTS, CALLS]
    assert {each.scope for each in claim.charges} == {"acme/ann"}
    assert [each.amount for each in claim.charges] == [150, 1, 1]
    assert (claim.sliced, claim.estimate) == ([], Estimate(100, 100, 50, 400, "1/0.5/2"))


def test_what_uses_no_tokens_counts_as_a_request():
    request = ask(kind=Kind.COUNT_TOKENS, prompt=99_999)
    assert amounts(request, SOFT_REACH, Reach(limit=CALLS, per=())) == [0, 1]


@pytest.mark.parametrize(("by", "amount"), [("tokenizer", 100 + 400), ("estimate", 120 + 400)])
def test_strict_takes_a_guessed_prompt_for_the_longest_it_can_be(by, amount):
    strict = Reach(limit=msgspec.structs.replace(TPM, strict=True), per=())
    assert amounts(ask(by=by), strict) == [amount]


def test_what_is_watched_claims_its_first_slice_of_those_that_may_stop_it():
    request = ask(duplex=True, stream=True, likely=700, most=2000)
    claim = make_claim(request, [SOFT_REACH, STOPPING], None)
    assert [each.amount for each in claim.charges] == [100 + 700, 100 + SLICE_TOKENS]
    assert [each.limit for each in claim.sliced] == [HARD]
    assert claim.estimate.expected_tokens == SLICE_TOKENS


@pytest.mark.parametrize(("duplex", "stream"), [(True, False), (False, True), (False, False)])
def test_what_is_not_watched_claims_its_longest_answer(duplex, stream):
    request = ask(duplex=duplex, stream=stream)
    assert amounts(request, SOFT_REACH, STOPPING) == [150, 500]
    assert make_claim(request, [STOPPING], None).sliced == []
