"""What there is to count."""

import pytest

from extproc.counting.given import all_text, as_json, read_given
from extproc.request import Kind

HI = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("kind", "member", "given", "texts", "ids"),
    [
        (Kind.COMPLETIONS, "prompt", "x", ["x"], 0),
        (Kind.COMPLETIONS, "prompt", ["x", "y"], ["x", "y"], 0),
        (Kind.COMPLETIONS, "prompt", [1, 2, 3], [], 3),
        (Kind.COMPLETIONS, "prompt", [[1, 2], [3]], [], 3),
        (Kind.EMBEDDINGS, "input", ["x", [1, 2]], ["x"], 2),
        (Kind.EMBEDDINGS, "input", [], [], 0),
    ],
)
def test_bare_prompts(kind, member, given, texts, ids):
    found = read_given(kind, {member: given})
    assert (found.talk, found.texts, found.ids, found.is_framed) == (None, texts, ids, True)
    assert found.prompts == len(texts)
    assert found.chars == sum(map(len, texts))


@pytest.mark.parametrize(
    ("kind", "document", "is_framed"),
    [
        (Kind.CHAT, {"messages": HI}, False),
        (Kind.CHAT, {"messages": HI, "add_special_tokens": True}, True),
        (Kind.RESPONSES, {"input": "hi"}, True),
        (Kind.MESSAGES, {"messages": HI}, False),
        (Kind.COUNT_TOKENS, {"messages": HI}, False),
        (Kind.COMPLETIONS, {"prompt": "hi", "add_special_tokens": False}, False),
    ],
)
def test_what_engines_add(kind, document, is_framed):
    found = read_given(kind, document)
    assert (found.is_framed, found.prompts, found.chars) == (is_framed, 1, 2)


@pytest.mark.parametrize(
    ("given", "cut_to"), [(5, 5), (-1, None), (0, None), (None, None), ("x", None)]
)
def test_prompts_that_are_cut(given, cut_to):
    for kind, document in ((Kind.CHAT, {"messages": HI}), (Kind.COMPLETIONS, {"prompt": "x"})):
        assert read_given(kind, {**document, "truncate_prompt_tokens": given}).cut_to == cut_to


def test_what_is_not_followed_is_said():
    assert not read_given(Kind.COMPLETIONS, {"prompt": "x", "suffix": "y"}).is_faithful


def test_all_texts():
    calls = [{"function": {"name": "fun", "arguments": '{"a":1}'}}]
    document = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
            {"role": "assistant", "content": None, "tool_calls": calls, "reasoning": "three", "name": "x"},
        ],
        "tools": [{"type": "function", "function": {"name": "four"}}],
    }  # fmt: skip
    text = all_text(read_given(Kind.CHAT, document))
    assert all(word in text for word in ("one", "two", "fun", '{"a":1}', "three", "four"))
    assert all_text(read_given(Kind.COMPLETIONS, {"prompt": ["a", "b"]})) == "ab"


def test_json_that_is_nested_too_deep_is_no_crash():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert as_json(deep) == ""
