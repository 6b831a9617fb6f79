"""An operation that the engines of a pool do not have is refused here, not by them."""

import pytest

from engines.base import ENGINES
from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.served import Served
from extproc.request import Kind, Model, Operation
from tests.extproc.requests import BARE

GENERATING = {Kind.CHAT, Kind.COMPLETIONS, Kind.EMBEDDINGS, Kind.RESPONSES, Kind.MESSAGES}


@pytest.mark.parametrize(
    ("engine", "served"),
    [
        ("vllm", {*GENERATING, Kind.COUNT_TOKENS}),
        ("sim", {*GENERATING, Kind.COUNT_TOKENS}),
        ("llamacpp", {*GENERATING, Kind.COUNT_TOKENS}),
        ("ollama", GENERATING),
        ("tgi", {Kind.CHAT, Kind.COMPLETIONS}),
        ("triton", {Kind.CHAT, Kind.COMPLETIONS, Kind.EMBEDDINGS}),
    ],
)
async def test_each_engine_gets_what_it_has(engine, served):
    for kind in (*GENERATING, Kind.COUNT_TOKENS):
        request = BARE.having(Operation(kind)).having(Model("llama", "p", "x"))
        found = await Served({"p": ENGINES[engine]}).decide(request)
        if kind in served:
            assert found is request
        else:
            assert isinstance(found, Deny)
            assert (found.reason, found.param) == (Reason.OPERATION, "model")
            assert found.message == f"The model 'llama' does not serve {kind.value}."
