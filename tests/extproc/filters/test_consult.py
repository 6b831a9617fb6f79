"""The operator's own authority."""

import pytest

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.filters.consult import Consult
from extproc.pipeline import Pipeline
from extproc.ports import Ruling
from extproc.request import Identity, Kind, Model, Operation, Prompt
from extproc.stores.memory import MemoryAuthority, MemoryMeter
from tests.extproc.requests import BARE

REQUEST = (
    BARE.having(Operation(Kind.CHAT))
    .having(Identity("acme", "k", user="ann", groups=frozenset({"staff"})))
    .having(Prompt({"max_tokens": 9, "messages": ["secret"]}, "alias", stream=True))
    .having(Model("llama", "p", "org/llama"))
)


def consult(authority, on_fault="deny"):
    return Consult(authority, lambda: 1795183506.0, on_fault)


class Given(Filter):
    """Stands for all the filters before."""

    name = "given"
    provides = Consult.needs

    async def decide(self, request):
        return request


async def test_allowed():
    assert await consult(MemoryAuthority(Ruling(True))).decide(REQUEST) is REQUEST


@pytest.mark.parametrize(
    ("reason", "message"),
    [("", "Not allowed by the authority."), ("over quota", "over quota")],
)
async def test_refused_in_its_own_words(reason, message):
    denied = await consult(MemoryAuthority(Ruling(False, reason))).decide(REQUEST)
    assert isinstance(denied, Deny)
    assert (denied.reason, denied.message) == (Reason.ACCESS_DENIED, message)


async def test_what_it_is_told():
    authority = MemoryAuthority(Ruling(True))
    await consult(authority).decide(REQUEST)
    (known,) = authority.asked
    assert known["identity.user"] == "ann"
    assert known["request.model"] == "llama"
    assert known["request.max_tokens"] == 9
    assert known["time.hour"] == 14
    assert "secret" not in str(known), "prompts stay here"


@pytest.mark.parametrize("on_fault", ["deny", "continue"])
async def test_an_authority_that_is_down(on_fault):
    meter = MemoryMeter()
    pipeline = Pipeline([Given(), consult(MemoryAuthority(), on_fault)], "v", meter)
    judged = await pipeline.judge_head(REQUEST)
    if on_fault == "deny":
        assert judged.stop.reason is Reason.FAULT
    else:
        assert judged.stop is None
    assert meter.faults == {"consult": 1}
