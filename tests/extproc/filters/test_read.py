"""Body bytes -> Prompt, in the dialect of the operation."""

import pytest

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.read import Read
from extproc.request import Body, Kind, Operation, Prompt
from tests.extproc.requests import BARE


async def decide(kind, raw):
    request = BARE.having(Operation(kind))
    return await Read().decide(request.having(Body(raw)))


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (Kind.CHAT, b'{"model":"m","messages":[{"role":"user"}]}'),
        (Kind.COMPLETIONS, b'{"model":"m","prompt":"x"}'),
        (Kind.EMBEDDINGS, b'{"model":"m","input":"x"}'),
        (Kind.MESSAGES, b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":""}]}'),
    ],
)
async def test_each_operation_has_its_own_body(kind, raw):
    assert (await decide(kind, raw)).fact(Prompt).model == "m"
    others = {Kind.COMPLETIONS, Kind.EMBEDDINGS}
    for other in others - {kind}:
        assert (await decide(other, raw)).reason is Reason.INVALID_REQUEST


async def test_the_bytes_stay_beside_the_prompt():
    raw = b'{"model":"m","prompt":"x"}'
    assert (await decide(Kind.COMPLETIONS, raw)).fact(Body).raw == raw


async def test_a_request_without_a_body_is_told_so():
    denied = await decide(Kind.CHAT, b"")
    assert isinstance(denied, Deny)
    assert "empty" in denied.message
