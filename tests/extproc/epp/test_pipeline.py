"""A picker's filters together, over pools in memory."""

import pytest

from extproc.decision import Deny
from extproc.epp.pipeline import PickerRules, build
from extproc.epp.shed import Full
from extproc.errors import PolicyError, Reason
from extproc.pipeline import Pipeline
from extproc.policy.models import Policy
from extproc.request import Body, Payload, Route, Subset
from extproc.stores.memory import MemoryEngines, MemoryMeter
from tests.extproc.requests import bare

A, B = "10.0.0.1:80", "10.0.0.2:80"
POLICY = Policy.model_validate(
    {
        "pools": [
            {"name": "p", "endpoints": [A, B]},
            {"name": "away", "upstream": {"url": "https://api.example.com"}},
        ],
        "models": [{"name": "m", "pool": "p"}],
    }
)


async def judge(request, *, sick=(), **rules):
    view = MemoryEngines({"p": [A, B]}, sick)
    meter = MemoryMeter()
    pipeline = Pipeline(build(POLICY, PickerRules("p", **rules), view), "v", meter)
    judged = await pipeline.judge_head(request)
    judged = await pipeline.judge_body(judged.request.having(Body(b'{"model": "any"}')))
    assert not meter.faults
    return judged, view


async def test_any_model_is_picked_for():
    judged, view = await judge(bare())
    assert set(judged.request.fact(Route).endpoints) == {A, B}
    assert judged.request.fact(Payload).raw == b'{"model": "any"}'
    assert [each.endpoint for each in view.picks] == [judged.request.fact(Route).endpoints[0]]


@pytest.mark.parametrize(
    ("subset", "named"),
    [((A,), {A}), (("10.0.0.2",), {B}), (("10.0.0.3:80",), {"10.0.0.3:80"}), ((), None)],
)
async def test_a_subset_is_kept_to(subset, named):
    judged, _ = await judge(bare().having(Subset(subset)))
    if named is None:
        assert judged.stop.reason is Reason.NO_ENDPOINT
    else:
        assert set(judged.request.fact(Route).endpoints) == named


async def test_a_member_that_is_sick_is_not_picked_because_it_is_hinted():
    judged, _ = await judge(bare().having(Subset((A,))), sick=[A])
    assert isinstance(judged.stop, Deny)


@pytest.mark.parametrize(("conformance", "named"), [(True, {B}), (False, {A, B})])
async def test_clients_choose_only_where_it_was_asked_for(conformance, named):
    request = bare(headers={"test-epp-endpoint-selection": "10.0.0.2"})
    judged, _ = await judge(request, conformance=conformance)
    assert set(judged.request.fact(Route).endpoints) == named


async def test_clients_choose_among_engines_only():
    request = bare(headers={"test-epp-endpoint-selection": "169.254.169.254:80"})
    judged, view = await judge(request, conformance=True)
    assert judged.stop.reason is Reason.NO_ENDPOINT
    assert view.picks == []


async def test_low_priority_is_shed():
    request = bare(headers={"x-gateway-inference-objective": "batch"})
    rules = {"objectives": {"batch": -1}, "full": Full(in_flight=0)}
    judged, view = await judge(request, **rules)
    assert judged.stop.reason is Reason.SATURATED
    assert view.picks == []


@pytest.mark.parametrize("pool", ["q", "away"])
def test_the_pool_is_one_of_engines(pool):
    with pytest.raises(PolicyError, match=r"it has: p$"):
        build(POLICY, PickerRules(pool), MemoryEngines({}))
