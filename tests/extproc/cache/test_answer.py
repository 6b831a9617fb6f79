"""What of an answer is kept, and which answers are not."""

import pytest

from extproc.cache.answer import pack, read_answer, unpack
from extproc.request import Kind
from tests.extproc.cache.answers import KINDS, answer, document


@pytest.mark.parametrize("kind", KINDS)
def test_one_whole_text_is_kept(kind):
    found = read_answer(kind, document(kind))
    assert (found.text, found.prompt_tokens, found.completion_tokens) == ("Paris.", 9, 3)
    assert found.head["model"] == "m"
    assert unpack(pack(found)) == found


def chat(**changes):
    told = document()
    choice = told["choices"][0]
    choice["message"].update(changes.pop("message", {}))
    choice.update(changes.pop("choice", {}))
    return {**told, **changes}


@pytest.mark.parametrize(
    "told",
    [
        chat(choice={"finish_reason": "length"}),
        chat(choice={"finish_reason": None}),
        chat(message={"tool_calls": [{"id": "c"}]}),
        chat(message={"content": None}),
        chat(message={"content": ""}),
        chat(message={"refusal": "no"}),
        chat(choice={"logprobs": {"content": []}}),
        chat(usage=None),
        chat(usage={"prompt_tokens": "9", "completion_tokens": 1}),
        chat(choices=[]),
        chat(choices=[{}, {}]),
        chat(choices="x"),
        {"error": {"message": "no"}},
    ],
)
def test_others_are_not(told):
    assert read_answer(Kind.CHAT, told) is None


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (Kind.MESSAGES, {"stop_reason": "max_tokens"}),
        (Kind.MESSAGES, {"stop_reason": "tool_use"}),
        (Kind.MESSAGES, {"content": [{"type": "tool_use"}]}),
        (Kind.MESSAGES, {"usage": {}}),
        (Kind.RESPONSES, {"status": "incomplete"}),
        (Kind.RESPONSES, {"output": [{"type": "reasoning"}, {"type": "message"}]}),
        (Kind.RESPONSES, {"output": [{"type": "function_call"}]}),
        (Kind.COMPLETIONS, {"choices": [{"finish_reason": "stop"}]}),
    ],
)
def test_nor_are_they_in_other_apis(kind, changes):
    assert read_answer(kind, {**document(kind), **changes}) is None


def test_what_is_no_text_is_not_either():
    assert read_answer(Kind.EMBEDDINGS, {"data": []}) is None


def test_cached_tokens_of_a_prompt_are_counted():
    told = document(Kind.MESSAGES)
    told["usage"]["cache_read_input_tokens"] = 100
    assert read_answer(Kind.MESSAGES, told).prompt_tokens == 109


def test_who_asked_is_not_kept():
    """Responses repeat it, and the next one who asks may be somebody else of the tenant."""
    who = {"user": "ann@acme.example", "safety_identifier": "ann", "prompt_cache_key": "ann-1"}
    found = read_answer(Kind.RESPONSES, {**document(Kind.RESPONSES), **who})
    assert b"ann" not in pack(found)


def test_what_another_version_wrote_is_none():
    assert unpack(b"\x01") is None
    assert unpack(b"") is None


def test_nobody_sees_it_in_a_log():
    assert "Paris" not in repr(answer())
