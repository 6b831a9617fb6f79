"""Texts of an answer, looked through with a bounded hold: see `outbound.py`."""

import json
from collections.abc import Sequence
from typing import Protocol

from extproc.dialects.literals import Place, quote, rewrite, unquote
from extproc.dialects.passage import Passage
from extproc.safety.pii.finding import Finding

HOLD = 64
"""Characters held back at most: longer than any shipped number, and than 99 of 100 addresses of mail."""
STEP = 32
"""New characters between two looks: each takes 15 us, however short the text."""
FIRST, FIRST_STEP = 128, 8
"""Of so many characters of a text they are fewer, two tokens: somebody waits for the first words."""
STEPS = 16
"""Of what is held for long, so much is new at each look: a long key is not read again for each word."""
RARER = 1024
"""Of what has gone out, so much is new: a megabyte that comes at once is not looked at 30 000 times."""
BEFORE = 64
"""Characters that went out, and are looked at again for what they say of the next ones."""
MOST_HELD = 16_384
"""Characters of a value that does not end, such as a key. The rest of it is looked at anew."""
MOST_STRING = 8_000_000
"""Characters of one string that is looked through as a whole."""


class LongStringError(ValueError):
    """A string of the answer is longer than can be looked through. The answer is cut."""


class Reader(Protocol):
    """Knows what to look for, and what to do then."""

    def find(self, text: str) -> Sequence[Finding]:
        """Find what counts, in order, nothing overlapping."""
        ...

    def find_open(self, text: str) -> int:
        """Say where the end begins that may go on as a value; the text's length if none does."""
        ...

    def treat(self, kind: str, value: str) -> str | None:
        """Return what is to stand there; None ends the text before it."""
        ...


class Window:
    """Plain text, looked through as it comes."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._text = ""
        self._at = 0
        """Before it, all has gone out."""
        self._is_over = False
        self._gone = 0
        """Characters that stood before `_text`."""
        self._next = FIRST_STEP
        """How long the text must be for the next look. Counted in the text, not in chunks."""

    @property
    def idle(self) -> bool:
        return not self._text

    def read(self, text: str) -> str:
        return self.feed(text) + self.finish()

    def feed(self, text: str) -> str:
        out: list[str] = []
        while text and not self._is_over:
            more = self._next - len(self._text)
            self._text += text[:more]
            text = text[more:]
            if len(self._text) == self._next:
                out.append(self._advance(self._find_open()))
                self._go_on()
        return "".join(out)

    def finish(self) -> str:
        rest = "" if self._is_over else self._advance(len(self._text))
        self._text, self._at, self._gone, self._next = "", 0, 0, FIRST_STEP
        return rest

    def _go_on(self) -> None:
        gone = max(0, self._at - BEFORE)
        self._text, self._at, self._gone = self._text[gone:], self._at - gone, self._gone + gone
        length = len(self._text)
        is_first = self._gone + length < FIRST
        step = max(STEP, length // STEPS, self._gone // RARER)
        self._next = length + (FIRST_STEP if is_first else step)

    def _find_open(self) -> int:
        """Say where what is held begins. A value that began before goes on in what is held, and words
        that went out may tell what follows: so some of them are read, too."""
        start = max(self._at, len(self._text) - HOLD)
        seen = max(0, start - BEFORE - STEP)
        return max(start, seen + self._reader.find_open(self._text[seen:]))

    def _advance(self, until: int) -> str:
        """Let go what is before `until`, but nothing of a value that reaches beyond."""
        out: list[str] = []
        for each in self._reader.find(self._text):
            if each.end <= self._at:
                continue
            start = max(each.start, self._at)
            if start >= until:
                break
            if each.end > until and each.end - start < MOST_HELD:
                until = start
                break
            value = self._text[each.start : each.end]
            out.append(self._text[self._at : start])
            put = self._reader.treat(each.type, value)
            self._at = each.end
            if put is None:
                self._is_over = True
                return "".join(out)
            out.append(value[start - each.start :] if put == value else put)
        until = max(until, self._at)
        out.append(self._text[self._at : until])
        self._at = until
        return "".join(out)


class Collected:
    """A JSON string, or JSON in a text: looked through when it is all there."""

    def __init__(self, reader: Reader, depth: int) -> None:
        self._reader = reader
        self._depth = depth
        self._parts: list[str] = []
        self._chars = 0

    @property
    def idle(self) -> bool:
        return not self._parts

    def feed(self, text: str) -> str:
        """Raises: LongStringError."""
        if text:
            self._parts.append(text)
            self._chars += len(text)
            if self._chars > MOST_STRING:
                raise LongStringError(f"a string of the answer is longer than {MOST_STRING}")
        return ""

    def finish(self) -> str:
        text = "".join(self._parts)
        self._parts, self._chars = [], 0
        return look_inside(text, self._depth, self._reader)


def look_inside(text: str, depth: int, reader: Reader) -> str:
    """Reader through a text that is so deep in JSON. What cannot be read is looked at as it stands."""
    if depth == 0:
        return Window(reader).read(text)
    try:
        inner = read_literal(text)
    except ValueError:
        return look_through_json(text, reader)
    changed = look_inside(inner, depth - 1, reader)
    return text if changed == inner else quote(changed)


def look_through_json(text: str, reader: Reader) -> str:
    def change(_: Place, written: str) -> str:
        inner = unquote(written)
        changed = Window(reader).read(inner)
        return written if changed == inner else quote(changed)

    try:
        json.loads(text)
    except (ValueError, RecursionError):  # cut off, perhaps: there is no form to keep
        return Window(reader).read(text)
    raw = text.encode(errors="surrogatepass")
    return rewrite(raw, change).decode(errors="surrogatepass")


def read_literal(text: str) -> str:
    """Read what stands between the quotes of a literal. Raises: ValueError."""
    if '"' in text.replace('\\"', ""):
        raise ValueError("it has quotes of its own")
    return unquote(text)


class WindowEditor:
    """`repeats` are signs of events that repeat texts."""

    def __init__(self, reader: Reader, repeats: Sequence[bytes]) -> None:
        self._reader = reader
        self._repeats = repeats

    def begin(self, depth: int) -> Passage:
        return Collected(self._reader, depth) if depth else Window(self._reader)

    def may_change(self, raw: bytes) -> bool:  # noqa: ARG002 - any text may hold anything
        return True

    def may_stand(self, raw: bytes) -> bool:
        return any(sign in raw for sign in self._repeats)
