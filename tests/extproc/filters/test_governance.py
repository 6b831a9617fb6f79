"""The filters of limits, as a policy asks for them."""

import pytest

from extproc.counting.lasting import Lasting
from extproc.counting.lengths import LEAST_SEEN
from extproc.decision import Outcome
from extproc.errors import PolicyError
from extproc.filters import Outside, build
from extproc.filters.governance import AMPLE, Governance, reaches
from extproc.policy.models import Policy
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.memory import MemoryEngines, MemoryJournal, MemoryLimitMeter

POOL = {"name": "p", "endpoints": ["10.0.0.1:80"]}
PRICE = {"input_usd": 1, "output_usd": 2}
TPM = {"name": "tpm", "tokens": 1000, "every": "minute"}
BUDGET = {"name": "month", "usd": 5, "every": "month", "stop": True}


def policy(*limits, **model):
    models = [
        {"name": "m", "pool": "p", **model},
        {"name": "small", "pool": "p", "context_tokens": 100},
    ]
    return Policy.model_validate({"pools": [POOL], "models": models, "limits": list(limits)}).at(
        "v1"
    )


@pytest.fixture
async def governance():
    lasting = Lasting()
    yield Governance(MemoryCounters(), lasting, MemoryLimitMeter(), lambda _: None)
    await lasting.close()


def names(policy, governance):
    outside = Outside(MemoryEngines(), MemoryJournal(), governance=governance)
    return [each.name for each in build(policy, outside)]


async def test_without_limits_nothing_is_counted(governance):
    assert not {"count", "limits"} & set(names(policy(), governance))
    assert not {"count", "limits"} & set(names(policy(), None))


async def test_limits_stand_behind_all_that_may_refuse_and_before_what_leaves(governance):
    found = names(policy(TPM), governance)
    assert found.index("context") < found.index("count") < found.index("limits")
    assert found.index("limits") < found.index("measure") < found.index("pick")


async def test_a_worker_learns_from_ends_that_another_one_is_told_of():
    views, lasting = [MemoryEngines(), MemoryEngines()], [Lasting(), Lasting()]
    for view, each in zip(views, lasting, strict=True):
        governance = Governance(MemoryCounters(), each, MemoryLimitMeter(), lambda _: None)
        outside = Outside(view, MemoryJournal(), governance=governance)
        count = next(found for found in build(policy(TPM), outside) if found.name == "count")
    views[1].tell_used(views[0].used)
    first = lasting[0].estimator("m").rates
    known = {"prompt_estimate": 840.0, "counted_by": "estimate", "prompt_mix": "4000 0 0 0 0"}
    known |= {"operation": "chat", "model": "m", "key_id": "k"}
    usage = {"prompt_tokens": 1600.0, "completion_tokens": 50.0}
    for _ in range(LEAST_SEEN):
        await count.settle(Outcome(known, 200, 1, (), usage))
    assert lasting[0].estimator("m").rates[0] == pytest.approx(0.4, rel=0.1) != first[0]
    assert 50 <= lasting[0].lengths.expect("k", "m") <= 60
    assert not len(lasting[1].lengths), "all of them hear it the same way"
    for each in lasting:
        await each.close()


def test_limits_without_counters_are_no_policy():
    with pytest.raises(PolicyError, match="nothing here to count with"):
        names(policy(TPM), None)


async def test_a_model_may_ask_its_engine(governance):
    assert "count" in names(
        policy(TPM, tokenizer={"engine": True}, images={"tokens": 5}), governance
    )


async def test_a_tokenizer_that_was_not_loaded_is_no_policy(governance):
    with pytest.raises(PolicyError, match="without its tokenizers"):
        names(policy(TPM, tokenizer={"file": "/x/tokenizer.json"}), governance)


def test_room_is_ample_when_the_longest_answers_fit_several_times():
    tokens, money = reaches(policy(TPM, BUDGET, context_tokens=1000, price=PRICE))
    assert tokens.ample == AMPLE * 2000
    assert money.ample == AMPLE * (1000 * 1000 + 1000 * 2000)
    assert money.stop
    assert reaches(Policy.model_validate({"limits": [TPM]}))[0].ample == 0
