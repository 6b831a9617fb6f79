"""Does it fit the model's context."""

import pytest

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.context import Context
from extproc.request import Kind, Model, Operation, Prompt
from tests.extproc.requests import BARE

USER = {"role": "user", "content": "hi"}


async def decide(kind, document, **most):
    request = (
        BARE.having(Operation(kind)).having(Prompt(document, "l")).having(Model("llama", "p", "x"))
    )
    found = await Context(most).decide(request)
    assert isinstance(found, Deny) or found is request
    return found


@pytest.mark.parametrize(
    ("kind", "document", "param"),
    [
        (Kind.CHAT, {"messages": [USER]}, None),
        (Kind.CHAT, {"messages": [USER] * 9}, None),
        (Kind.CHAT, {"messages": [USER] * 10}, "messages"),
        (Kind.CHAT, {"messages": [USER], "max_tokens": 9}, None),
        (Kind.CHAT, {"messages": [USER], "max_tokens": 10}, "max_tokens"),
        (Kind.CHAT, {"messages": [USER], "max_tokens": 10**9}, "max_tokens"),
        (Kind.CHAT, {"messages": [USER], "max_completion_tokens": 10}, "max_completion_tokens"),
        (Kind.CHAT, {"messages": [USER] * 8, "max_tokens": 3}, "messages"),
        (Kind.COMPLETIONS, {"prompt": "x" * 10**5}, None),
        (Kind.COMPLETIONS, {"prompt": list(range(10))}, "prompt"),
        (Kind.COMPLETIONS, {"prompt": list(range(10)), "max_tokens": 0}, None),
        (Kind.COMPLETIONS, {"prompt": list(range(9)), "truncate_prompt_tokens": 5}, None),
        (Kind.EMBEDDINGS, {"input": list(range(10))}, None),
        (Kind.EMBEDDINGS, {"input": list(range(11))}, "input"),
        (Kind.RESPONSES, {"input": "x", "max_output_tokens": 10}, "max_output_tokens"),
        (Kind.MESSAGES, {"messages": [USER], "max_tokens": 10}, "max_tokens"),
        (Kind.COUNT_TOKENS, {"messages": [USER] * 50}, None),
    ],
)
async def test_a_context_of_ten_tokens(kind, document, param):
    assert not isinstance(await decide(kind, document), Deny), "not known: not judged"
    found = await decide(kind, document, llama=10)
    if param is None:
        assert not isinstance(found, Deny)
        return
    assert (found.reason, found.param) == (Reason.CONTEXT, param)
    assert "maximum context length is 10 tokens" in found.message


async def test_the_message_says_the_sum():
    found = await decide(Kind.CHAT, {"messages": [USER] * 4, "max_tokens": 8}, llama=10)
    assert "at least 12: 4 for the prompt and 8 for the answer" in found.message
