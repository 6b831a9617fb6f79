"""How long an answer may get, and how long a prompt is at least, in each dialect's own members."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from extproc.dialects.body import Document
from extproc.request import Kind

LENGTHS: Mapping[Kind, Sequence[str]] = MappingProxyType(
    {
        Kind.CHAT: ("max_completion_tokens", "max_tokens"),
        Kind.COMPLETIONS: ("max_tokens",),
        Kind.RESPONSES: ("max_output_tokens",),
        Kind.MESSAGES: ("max_tokens",),
    }
)
"""What clients bound an answer with. OpenAI renamed the member of chats; engines take both."""
ANSWERS = LENGTHS.keys()
"""Operations that generate: an answer has a token at least."""
ANY_LENGTH = frozenset(name for names in LENGTHS.values() for name in names)

UNSAID: Mapping[Kind, int] = MappingProxyType({Kind.COMPLETIONS: 16})
"""What engines make of no bound at all, in tokens; elsewhere they go on to the end of the context.
Source: OpenAI's API reference, /v1/completions; vLLM does the same."""

TRUNCATED = "truncate_prompt_tokens"
"""vLLM's own: the prompt is cut to size there, so that none is too long."""


def find_length(kind: Kind, document: Document) -> tuple[str, int] | None:
    """Find the member that bounds the answer, and its bound. Of two, the larger one: which of them
    counts is the engine's choice."""
    found = [
        (name, value)
        for name in LENGTHS.get(kind, ())
        if isinstance(value := document.get(name), int) and not isinstance(value, bool)
    ]
    return max(found, key=lambda each: each[1], default=None)


def count_answers(kind: Kind, document: Document) -> int:
    """Say how many answers are asked for to each prompt."""
    n: Any = document.get("n") if kind in (Kind.CHAT, Kind.COMPLETIONS) else None
    return n or 1


def count_least(kind: Kind, document: Document) -> tuple[str, int]:
    """Say which member is the prompt, and how many tokens it has at least.

    Only what holds for any tokenizer and any template: a message is a token or more, a prompt given
    as token ids has as many, any other text may be a single token.
    """
    name = PROMPTS[kind]
    if document.get(TRUNCATED) is not None:
        return name, 0
    items = as_list(document.get(name))
    return name, len(items) if kind in ITEMIZED else count_ids(items)


PROMPTS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.CHAT: "messages",
        Kind.COMPLETIONS: "prompt",
        Kind.EMBEDDINGS: "input",
        Kind.RESPONSES: "input",
        Kind.MESSAGES: "messages",
        Kind.COUNT_TOKENS: "messages",
    }
)
ITEMIZED = frozenset({Kind.CHAT, Kind.RESPONSES, Kind.MESSAGES, Kind.COUNT_TOKENS})
"""Dialects whose prompt is a list of messages."""


def count_ids(items: Sequence[object]) -> int:
    """Count the longest prompt: one list of ids is one prompt, several lists are several."""
    if items and isinstance(items[0], int):
        return len(items)
    return max((len(as_list(item)) for item in items), default=1)


def as_list(given: object) -> Sequence[object]:
    """Take a text for a list of one."""
    return cast("list[object]", given) if isinstance(given, list) else (given,)
