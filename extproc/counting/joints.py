"""What a chat template puts around messages, where that is always the same.

Most templates are additive: a prompt is its messages, and between two of them stands a text that
depends on their two roles only. Then the count is a sum over messages, each of which is looked up,
and rendering, which takes longer than all look-ups together, can be left out.

It is believed only when it is verified: on conversations of every order of roles, and on contents
made of every text that the template itself contains, because that is what it may look for. One
mismatch, and the template is rendered whole every time.

Messages are counted from special token to special token, both included, because no word crosses one;
so the sum is the same as of the whole. What was counted twice is taken off where joints are counted.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise, product

from extproc.counting.specials import any_of, is_clean
from extproc.counting.template import Message, Template
from extproc.counting.tokenizer import CountError, Tokenizer

USER = "user"
TURNS = (USER, "assistant")
FIRST = ((), ("system",))
"""Templates treat what is said to the system later on in too many ways."""
OUTSIDE = ""
"""Where a role would be: before the first message, after the last."""
CONTENTS = (
    "x", "  x ", "\n\nx\n\n", "x\n", "two words", "你好,世界", "é", "{{ x }}", "{% if %}", '"x"', "<b>",
    "\\n", "0", "x" * 5000, "<think>\nx\n</think>\n\ny", "</think>", "[INST] x [/INST]",
)  # fmt: skip
SHAPES = (
    ("user",),
    ("system", "user"),
    ("user", "assistant", "user"),
    ("system", "user", "assistant", "user"),
    ("user", "assistant"),
    ("user", "assistant", "user", "assistant", "user"),
)
"""Conversations in which every content is tried."""
MARK = "qzx{}qzx"
"""A content that stands in no template."""
TRIES = 4
LONG = 40

Pair = tuple[str, str]
"""Two roles that follow each other, or `OUTSIDE`."""


@dataclass(frozen=True, slots=True)
class Joint:
    """What stands between two messages. A special token in it divides them; without one they are
    counted in one piece."""

    text: str
    tail: str = ""
    """Up to the first special token, included: the end of the message before."""
    head: str = ""
    """From the last special token on: the beginning of the next message."""
    tokens: int = 0
    """Of what is neither, less what is counted twice."""
    divides: bool = False
    trims: bool = False
    """The next content loses the white space around it."""


Joints = Mapping[Pair, Joint]
"""Of an additive template. They hold for conversations in which the user says something."""


def find_joints(template: Template, tokenizer: Tokenizer) -> Joints | None:
    """Find them; None: the template is not additive. Takes some hundredths of a second."""
    special = any_of(tokenizer.specials)
    if template.tells_time or special is None:
        return None
    gaps: dict[Pair, str] = {}
    trims: set[Pair] = set()
    for roles in orders():
        for pair, (gap, is_trimmed) in read_gaps(template, roles).items():
            if pair not in gaps and is_trimmed:
                trims.add(pair)
            gaps.setdefault(pair, gap)
    if not gaps or not holds(template, gaps, trims):
        return None
    joints = {pair: make_joint(pair, gap, special, tokenizer) for pair, gap in gaps.items()}
    return {pair: replace(joint, trims=pair in trims) for pair, joint in joints.items()}


def orders() -> Iterable[Sequence[str]]:
    """Every order of up to three turns, and some long ones."""
    for length in (1, 2, 3):
        for first, roles in product(FIRST, product(TURNS, repeat=length)):
            if USER in roles:
                yield (*first, *roles)
    yield TURNS * (LONG // 2)
    yield ("system", *TURNS * (LONG // 2), USER)
    shuffled = random.Random(LONG)  # noqa: S311 - the same every time, and no secret
    for _ in range(TRIES):
        yield (*(shuffled.choice(TURNS) for _ in range(LONG // 4)), USER)


def talk(roles: Sequence[str], contents: Sequence[str], template: Template) -> Sequence[Message]:
    """Make a conversation in the form that the template wants."""
    if template.loops_over_content:
        parts = [[{"type": "text", "text": content}] for content in contents]
        return [{"role": r, "content": p} for r, p in zip(roles, parts, strict=True)]
    return [{"role": r, "content": c} for r, c in zip(roles, contents, strict=True)]


def read_gaps(template: Template, roles: Sequence[str]) -> Mapping[Pair, tuple[str, bool]]:
    """See what stands between these roles, and whether what follows loses its white space. An order
    that the template refuses teaches nothing: it is refused later on as well."""
    marks = [MARK.format(index) for index in range(len(roles))]
    try:
        text = template.render(talk(roles, marks, template))
        padded = template.render(talk(roles, [f"\t{mark}\t" for mark in marks], template))
    except CountError:
        return {}
    found = re.split("|".join(marks), text)
    if len(found) != len(roles) + 1:
        return {}
    trimmed = [f"\t{mark}\t" not in padded for mark in marks]
    pairs = pairwise([OUTSIDE, *roles, OUTSIDE])
    return dict(zip(pairs, zip(found, [*trimmed, False], strict=True), strict=True))


def holds(template: Template, gaps: Mapping[Pair, str], trims: AbstractSet[Pair]) -> bool:
    """Whether all that can be rendered is what the gaps say."""
    contents = (*CONTENTS, *template.constants, *(f"x {c} y" for c in template.constants))
    tries = [(roles, ["x"] * len(roles)) for roles in orders()]
    tries += [(roles, [content] * len(roles)) for roles in SHAPES for content in contents]
    return all(is_as_told(template, gaps, trims, *each) for each in tries)


def is_as_told(
    template: Template,
    gaps: Mapping[Pair, str],
    trims: AbstractSet[Pair],
    roles: Sequence[str],
    contents: Sequence[str],
) -> bool:
    try:
        rendered = template.render(talk(roles, contents, template))
    except CountError:
        return True
    told: list[str] = []
    for pair, content in zip(pairwise([OUTSIDE, *roles, OUTSIDE]), [*contents, ""], strict=True):
        if pair not in gaps:
            return False
        told += (gaps[pair], content.strip() if pair in trims else content)
    return "".join(told) == rendered


def make_joint(pair: Pair, gap: str, special: re.Pattern[str], tokenizer: Tokenizer) -> Joint:
    """Take a gap apart, and count what is the same every time."""
    found = list(special.finditer(gap))
    if not found or not is_clean(found[0].group(), tokenizer.specials):
        return Joint(gap)
    before, after = pair
    first, last = found[0], found[-1]
    begin = first.start() if before else 0
    end = last.end() if after else len(gap)
    twice = (before != OUTSIDE) + (after != OUTSIDE)
    tokens = tokenizer.count(gap[begin:end]) - twice
    return Joint(gap, gap[: first.end()], gap[last.start() :], tokens, divides=True)
