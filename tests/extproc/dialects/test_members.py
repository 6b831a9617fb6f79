"""What a rule may set a member to, in every dialect."""

import pytest

from extproc.dialects.members import find_wrong
from extproc.request import Kind


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Kind.CHAT, "temperature", 0.5),
        (Kind.CHAT, "temperature", 1),
        (Kind.CHAT, "stop", ["\n"]),
        (Kind.CHAT, "tools", [{"type": "function", "function": {"name": "f"}}]),
        (Kind.CHAT, "top_k", "an extension"),
        (Kind.CHAT, "max_tokens", 10),
        (Kind.EMBEDDINGS, "max_tokens", 0),
        (Kind.EMBEDDINGS, "dimensions", 256),
        (Kind.COMPLETIONS, "max_completion_tokens", 0),
        (Kind.MESSAGES, "top_k", 40),
        (Kind.COUNT_TOKENS, "temperature", "any"),
    ],
)
def test_right(kind, name, value):
    assert find_wrong(kind, name, value) is None


@pytest.mark.parametrize(
    ("kind", "name", "value", "said"),
    [
        (Kind.CHAT, "temperature", "hot", "expected 'float | null', got 'str'"),
        (Kind.CHAT, "temperature", -1, "expected 'float' >= 0.0"),
        (Kind.CHAT, "n", 0.5, "expected 'int | null', got 'float'"),
        (Kind.CHAT, "max_tokens", 0, "expected 'int' >= 1"),
        (Kind.CHAT, "tools", [{"type": "function"}], "is required"),
        (Kind.RESPONSES, "max_tokens", 0, "expected 'int' >= 1"),
        (Kind.MESSAGES, "max_completion_tokens", "10", "expected 'int', got 'str'"),
        (Kind.MESSAGES, "top_k", 0.5, "expected 'int | null', got 'float'"),
    ],
)
def test_wrong(kind, name, value, said):
    assert find_wrong(kind, name, value) == said
