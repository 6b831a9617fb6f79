import pytest

from engines.load import Load
from extproc.decision import Deny
from extproc.epp.shed import DEFAULT, FRESH_S, Full, Shed
from extproc.errors import Reason
from extproc.request import Request
from extproc.routing.candidate import Candidate
from tests.extproc.requests import bare

OBJECTIVES = {"chat": 10, "batch": -1}
NOW_S = 1000.0
IDLE = Candidate("10.0.0.1:80", seen_s=NOW_S)
QUEUEING = Candidate("10.0.0.2:80", load=Load(waiting=4), seen_s=NOW_S - FRESH_S, unseen=1)
NO_MEMORY = Candidate("10.0.0.3:80", load=Load(kv_usage=0.8), seen_s=NOW_S)


class Fixed:
    def __init__(self, *candidates):
        self.candidates = lambda _pool: candidates


async def judge(candidates, full=DEFAULT, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    shed = Shed("p", OBJECTIVES, Fixed(*candidates), full, lambda: NOW_S)
    return await shed.decide(bare(headers=named))


@pytest.mark.parametrize("name", ["x_gateway_inference_objective", "x_llm_d_inference_objective"])
async def test_low_priority_is_refused_when_all_are_full(name):
    refused = await judge([QUEUEING, NO_MEMORY], **{name: "batch"})
    assert isinstance(refused, Deny)
    assert refused.reason is Reason.SATURATED
    assert refused.retry_after_s > 0


@pytest.mark.parametrize(
    ("candidates", "objective"),
    [
        ([QUEUEING, NO_MEMORY], "chat"),
        ([QUEUEING, NO_MEMORY], "nobody knows it"),
        ([QUEUEING, IDLE], "batch"),
        ([], "batch"),
    ],
)
async def test_all_else_goes_on(candidates, objective):
    found = await judge(candidates, x_gateway_inference_objective=objective)
    assert isinstance(found, Request)


async def test_who_names_no_objective_goes_on():
    assert isinstance(await judge([QUEUEING]), Request)


async def test_what_is_under_way_counts_where_it_was_said():
    busy, batch = Candidate("10.0.0.4:80", in_flight=2), {"x_gateway_inference_objective": "batch"}
    assert isinstance(await judge([busy], **batch), Request)
    assert isinstance(await judge([busy], Full(in_flight=2), **batch), Deny)
    assert isinstance(await judge([busy], Full(in_flight=3), **batch), Request)


@pytest.mark.parametrize(
    "unknown",
    [
        Candidate("10.0.0.5:80", load=Load(waiting=9, kv_usage=1.0), seen_s=NOW_S - FRESH_S - 0.1),
        Candidate("10.0.0.6:80", in_flight=9, unseen=9),
    ],
    ids=["nobody has looked of late", "it tells nothing"],
)
async def test_nobody_is_refused_for_what_nobody_knows(unknown):
    batch = {"x_gateway_inference_objective": "batch"}
    assert isinstance(await judge([QUEUEING, unknown], **batch), Request)
    assert isinstance(await judge([unknown], Full(in_flight=0), **batch), Deny), "but for counts"
