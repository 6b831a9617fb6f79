"""A count in the making: what is known already, and the texts that are still to be counted."""

from collections.abc import Sequence
from math import inf
from time import monotonic

from extproc.counting.given import Given, as_json
from extproc.counting.joints import OUTSIDE, USER, Joints
from extproc.counting.loose import Members, as_objects
from extproc.counting.pieces import PIECE_CHARS, cut
from extproc.counting.talk import Talk, fit, join_texts
from extproc.counting.tokenizer import CountError, Tokenizer
from extproc.counting.vocabulary import Vocabulary

Unit = tuple[str, ...]
"""Texts that are counted as one, without being joined before they have to be."""
UNIT_CHARS = 40
"""What a text costs beside its characters, in characters: 3-5 us."""


class Draft:
    """`tokens` is what is known so far; `finish` counts the rest."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._missing: list[tuple[int, Unit]] = []
        self.tokens = 0
        self.missing_chars = 0
        """What `finish` will have to count, and `UNIT_CHARS` for each text."""

    def add(self, unit: Unit) -> None:
        """Look a text up, or put it aside."""
        key = hash(unit)
        known = self._vocabulary.remembered.get(key)
        if known is None:
            self._missing.append((key, unit))
            self.missing_chars += UNIT_CHARS + sum(map(len, unit))
        else:
            self.tokens += known

    def finish(self, until_s: float = inf) -> int:
        """Count what is missing, and remember it.

        Raises:
            CountError: It cannot be counted, or not by `until_s` (of the monotonic clock).
        """
        remembered = self._vocabulary.remembered
        for key, unit in self._missing:
            count = remembered.get(key)  # the same may stand there twice
            if count is None:
                count = count_long(self._vocabulary.tokenizer, "".join(unit), until_s)
                remembered.put(key, count)
            self.tokens += count
        self._missing = []
        return self.tokens


def count_long(tokenizer: Tokenizer, text: str, until_s: float = inf) -> int:
    """Count in pieces where that is the same: no piece keeps the GIL, or memory, for long.

    Raises:
        CountError: As `Draft.finish`.
    """
    is_short = len(text) <= PIECE_CHARS or not tokenizer.cuts
    tokens = 0
    for piece in (text,) if is_short else cut(text):
        if monotonic() > until_s:
            raise CountError("counting took too long")
        tokens += tokenizer.count(piece)
    return tokens


def draft(vocabulary: Vocabulary, given: Given) -> Draft:
    """Begin to count. Raises: CountError when the chat template refuses the conversation."""
    made = Draft(vocabulary)
    if given.talk is not None:
        add_talk(made, vocabulary, given.talk)
    else:
        made.tokens = given.ids
        for text in given.texts:
            made.add((text,))
    if given.is_framed:
        made.tokens += vocabulary.tokenizer.framing * given.prompts
    return made


def add_talk(made: Draft, vocabulary: Vocabulary, talk: Talk) -> None:
    """Three ways: by joints, by rendering it whole, by numbers that were given."""
    if vocabulary.template is None:
        add_by_numbers(made, vocabulary, talk)
        return
    is_plain = not talk.tools and not talk.variables
    if is_plain and vocabulary.joints and add_joined(made, vocabulary.joints, talk.messages):
        return
    messages = fit(talk.messages, vocabulary.template)
    add_rendered(made, vocabulary, vocabulary.template.render(messages, talk.tools, talk.variables))


def add_joined(made: Draft, joints: Joints, messages: Sequence[Members]) -> bool:
    """Add messages that are a role and a text each. False: there is another one, nothing was added.

    0.7 us for each message that is remembered: this loop is what a long conversation costs.
    """
    fixed, before = 0, OUTSIDE
    units: list[Unit] = []
    unit: list[str] = []
    for message in messages:
        content, role = message.get("content"), message["role"]
        joint = joints.get((before, role))
        if joint is None or len(message) != 2:
            return False
        if not isinstance(content, str) or not content or content.isspace():
            return False  # a template may leave a message out that says nothing
        if joint.divides and unit:
            units.append((*unit, joint.tail))
            unit.clear()
        unit.append(joint.head if joint.divides else joint.text)
        unit.append(content.strip() if joint.trims else content)
        fixed += joint.tokens
        before = role
    end = joints.get((before, OUTSIDE))
    if end is None or not any(message["role"] == USER for message in messages):
        return False
    made.tokens += fixed + end.tokens
    for each in units:
        made.add(each)
    made.add((*unit, end.tail if end.divides else end.text))
    return True


def add_rendered(made: Draft, vocabulary: Vocabulary, text: str) -> None:
    """Add a whole prompt, from special token to special token: both are counted with what stands
    between them, so that what they do to white space beside them is done, and one is taken off."""
    begin = 0
    for found in vocabulary.find_holds(text):
        made.add((text[begin : found.end()],))
        made.tokens -= 1
        begin = found.start()
    made.add((text[begin:],))


def add_by_numbers(made: Draft, vocabulary: Vocabulary, talk: Talk) -> None:
    """Add the texts, and what the policy says stands around them."""
    request_tokens, message_tokens = vocabulary.overhead
    made.tokens += request_tokens + message_tokens * len(talk.messages)
    for message in talk.messages:
        made.add((join_texts(message.get("content")),))
        if len(message) > 2:
            for member in ("name", "reasoning"):
                made.add((str(message.get(member) or ""),))
            for call in as_objects(message.get("tool_calls")):
                made.add((as_json(call["function"]),))
    if talk.tools:
        made.add((as_json(talk.tools),))
