"""How long an answer may get, before there is one: what to reserve for it."""

from collections.abc import Sequence
from typing import NamedTuple

from extproc.dialects.body import Document
from extproc.dialects.lengths import ANSWERS, UNSAID, as_list, count_answers, find_length
from extproc.request import Kind

MOST_ANSWERS = 128
"""To each prompt; engines refuse more."""
MOST_TOKENS = 2**31 - 1
"""Whatever is asked for: the sum of all answers stays within 32 bits."""
UNKNOWN_CONTEXT = 32_768
"""How far an answer without any bound may go, for models whose policy does not say."""


class Expected(NamedTuple):
    """Completion tokens of all answers together."""

    likely_tokens: int
    """What it will probably not exceed."""
    most_tokens: int
    """What it cannot exceed: for limits that must not be overrun."""
    answers: int = 1


NOTHING = Expected(0, 0, 0)


def expect_completion(
    kind: Kind, document: Document, prompt_tokens: int, context_tokens: int | None, usual: int
) -> Expected:
    """`usual` is what answers are expected to be (`Lengths.expect`); `prompt_tokens` are those of all
    prompts together. Pure, total: nothing that a body can hold makes it fail."""
    if kind not in ANSWERS:
        return NOTHING
    prompts = count_prompts(kind, document)
    asked = find_length(kind, document)
    bound = max(asked[1], 0) if asked else UNSAID.get(kind)
    room = context_tokens or UNKNOWN_CONTEXT if bound is None else context_tokens
    if room is not None:
        room = max(room - prompt_tokens // prompts, 1)
    most = min(each for each in (bound, room) if each is not None)
    answers = prompts * count_each(kind, document)
    return Expected(
        min(answers * min(most, usual), MOST_TOKENS), min(answers * most, MOST_TOKENS), answers
    )


def count_each(kind: Kind, document: Document) -> int:
    """Count answers to one prompt. OpenAI's `best_of` are all made, and all paid for."""
    given: list[object] = [count_answers(kind, document)]
    if kind is Kind.COMPLETIONS:
        given.append(document.get("best_of"))
    counts = [each for each in given if isinstance(each, int)]
    return min(max(counts, default=1), MOST_ANSWERS) if max(counts, default=1) > 0 else 1


def count_prompts(kind: Kind, document: Document) -> int:
    """Count prompts of a batch: a list of texts, or of lists of token ids."""
    if kind is not Kind.COMPLETIONS:
        return 1
    given: Sequence[object] = as_list(document.get("prompt"))
    is_one = not given or isinstance(given[0], int)
    return 1 if is_one else len(given)
