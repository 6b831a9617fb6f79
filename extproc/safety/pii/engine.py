"""Patterns over many texts at once: hyperscan says where to look, re2 says exactly what is there.

All texts of a request are one buffer, each on lines of its own. Hyperscan reads it once and tells where
triggers end; the patterns of a trigger then run over the bytes around. Both take linear time whatever
they are given, and what is found is bounded: a text that is nothing but triggers is refused.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import hyperscan
import msgspec
import re2

from extproc.safety.expressions import Expressions, FloodError
from extproc.safety.pii.finding import Finding
from extproc.safety.pii.keys import KEY_PATTERNS, KEY_TRIGGERS
from extproc.safety.pii.normal import DASHES, DIGITS, SPACES, UNSEEN, Plain, make_plain
from extproc.safety.pii.own import OWN_RANK, Own
from extproc.safety.pii.patterns import PATTERNS, TRIGGERS, Pattern, Trigger

MOST_EVENTS = 500_000
"""Ends of triggers in a request. A megabyte of numbers in columns
has 130 000; each takes 40 bytes and half a microsecond."""
MOST_TRIES = 200_000
"""Searches in a request, and values of one's own: up to 20 us each, four seconds of CPU at the very most."""
BETWEEN = b"\n\x1e\n"
"""Stands between texts. No pattern goes over it: those that take line ends take no controls."""
RE2_BYTES = 2 << 20
"""Memory that the automata of one pattern may take before re2 starts them anew: 120 MB for all at the very
most; after days of usual text they take some ten."""
OUTER = "[^0-9A-Za-z]"
NAMED = re.compile(r"[A-Za-z0-9_ .-]{1,64}")


class Said(msgspec.Struct, frozen=True):
    """A text to look through."""

    text: str
    name: str = ""
    """Of the member that holds it, if it may tell what the value is: `birthday`, `phone`."""


class Group:
    """The patterns of one trigger."""

    def __init__(self, trigger: Trigger, patterns: Sequence[Pattern]) -> None:
        """Raises: re2.error."""
        self.before, self.after = trigger.before, trigger.after
        self._patterns = [(each, compile_one(each.expression)) for each in patterns]
        self._set = None
        if len(patterns) > 1:
            options = re2.Options()
            options.max_mem = RE2_BYTES
            self._set = re2.Set.SearchSet(options)
            for each in patterns:
                self._set.Add(framed(each.expression))
            self._set.Compile()

    def hits(self, region: bytes) -> Sequence[tuple[Pattern, "re2.Regexp"]]:
        """Return the patterns that are somewhere in it."""
        if self._set is None:
            return self._patterns
        return [self._patterns[index] for index in self._set.Match(region) or ()]


def framed(expression: str) -> str:
    """See `patterns`. Texts have a line end before and after them, so there always is an outside."""
    return expression if re2.compile(expression).groups else f"{OUTER}({expression}){OUTER}"


def compile_one(expression: str) -> "re2.Regexp":
    options = re2.Options()
    options.max_mem = RE2_BYTES
    options.log_errors = False
    return re2.compile(framed(expression), options)


@lru_cache(1)
def shipped() -> "Engine":
    """Return the engine of the shipped patterns. It is compiled once in a process."""
    return Engine({**TRIGGERS, **KEY_TRIGGERS}, [*PATTERNS, *KEY_PATTERNS])


class Engine:
    """Compiled once: 0.2 s and some megabytes for the shipped patterns. Any thread may use it."""

    def __init__(self, triggers: Mapping[str, Trigger], patterns: Sequence[Pattern]) -> None:
        used = {name: [each for each in patterns if each.trigger == name] for name in triggers}
        self._groups = [Group(triggers[name], each) for name, each in used.items() if each]
        expressions = [triggers[name].expression.encode() for name, each in used.items() if each]
        self._odd = len(expressions)
        flags = [0] * self._odd + [hyperscan.HS_FLAG_SINGLEMATCH]
        self._triggers = Expressions([*expressions, ODD_BYTES], flags)

    def find(self, said: Sequence[Said], own: Own | None = None) -> Sequence[Sequence[Finding]]:
        """Find all there is, overlapping as it may, for each text.

        Raises:
            FloodError: There is too much of it.
        """
        return self.search(self.scan(said), own)

    def scan(self, said: Sequence[Said]) -> "Scanned":
        """See where something may be: 1 us for a kilobyte, whatever it is. Raises: FloodError."""
        buffer = Buffer(said)
        ends = self._scan(buffer.raw)
        if ends[self._odd]:
            buffer = Buffer(said, plain=True)
            ends = self._scan(buffer.raw)
        return Scanned(buffer, ends[: self._odd])

    def search(self, scanned: "Scanned", own: Own | None = None) -> Sequence[Sequence[Finding]]:
        """See what is there: 2 to 20 us for each place. Raises: FloodError."""
        hits = self._search(scanned)
        if own is not None:
            hits += find_own(own, scanned.buffer)
        return scanned.buffer.place(hits)

    def _search(self, scanned: "Scanned") -> list["Hit"]:
        raw = scanned.buffer.raw
        found: list[Hit] = []
        left = MOST_TRIES
        for group, ends in zip(self._groups, scanned.ends, strict=True):
            if not ends:
                continue
            for start, end in regions(ends, group, raw):
                for pattern, span in search(group, raw, start, end):
                    left -= 1
                    if left < 0:
                        raise FloodError("too many values")
                    if span:
                        found.append((span, pattern.type, pattern.rank))
        return found

    def _scan(self, raw: bytes) -> Sequence[Sequence[int]]:
        """Return where each trigger ends."""
        ends: list[list[int]] = [[] for _ in range(self._odd + 1)]
        left = MOST_EVENTS

        def note(index: int, _start: int, end: int, _flags: int, _: object) -> bool:
            nonlocal left
            left -= 1
            ends[index].append(end)
            return left < 0

        if not self._triggers.scan(raw, note):
            raise FloodError("too many values")
        return ends


def regions(ends: Sequence[int], group: Group, raw: bytes) -> Iterator[tuple[int, int]]:
    """Join what lies around the ends of a trigger, cut between characters."""
    start = end = 0
    for each in ends:
        low, high = each - group.before, each + group.after
        if end and low > end:
            yield fit(start, end, raw)
            start = low
        elif not end:
            start = low
        end = max(end, high)
    yield fit(start, end, raw)


def fit(start: int, end: int, raw: bytes) -> tuple[int, int]:
    start, end = max(0, start), min(len(raw), end)
    while start and raw[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(raw) and raw[end] & 0xC0 == 0x80:
        end += 1
    return start, end


Span = tuple[int, int]
Hit = tuple[Span, str, int]
"""Where it is in the buffer, its type and its rank."""


def find_own(own: Own, buffer: "Buffer") -> list[Hit]:
    """Raises: FloodError."""
    found: list[Hit] = []
    for span, kind in own.find(buffer.raw, buffer.bounds(), MOST_TRIES):
        found.append((span, kind, OWN_RANK))
        if len(found) > MOST_TRIES:
            raise FloodError("too many values")
    return found


def search(group: Group, raw: bytes, start: int, end: int) -> Iterator[tuple[Pattern, Span | None]]:
    """Try the patterns of a group in a region; None for each place that failed its check."""
    for pattern, regex in group.hits(raw[start:end]):
        at = start
        while (match := regex.search(raw, at, end)) is not None:
            found = pattern.check(raw, *match.span(1))
            # What begins within a wrong one may be right; what stands before a value ended it.
            at = max(found[1], at + 1) if found else match.start(1)
            yield pattern, found


class Scanned(msgspec.Struct, frozen=True):
    """Texts, and where something may be in them."""

    buffer: "Buffer"
    ends: Sequence[Sequence[int]]

    @property
    def places(self) -> int:
        return sum(map(len, self.ends))


class Buffer:
    """All texts in UTF-8, and the way back from bytes to code points."""

    def __init__(self, said: Sequence[Said], *, plain: bool = False) -> None:
        parts: list[bytes] = [b"\n"]
        at = 1
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._plain: list[Plain | None] = []
        for each in said:
            odd = make_plain(each.text) if plain and not each.text.isascii() else None
            raw = encode(odd.text if odd else each.text)
            if each.name and NAMED.fullmatch(each.name):
                parts.append(name := f"{each.name}: ".encode())
                at += len(name)
            parts += (raw, BETWEEN)
            self._starts.append(at)
            self._ends.append(at + len(raw))
            self._plain.append(odd)
            at += len(raw) + len(BETWEEN)
        self.raw = b"".join(parts)

    def bounds(self) -> Sequence[Span]:
        return list(zip(self._starts, self._ends, strict=True))

    def place(self, hits: Iterable[Hit]) -> Sequence[Sequence[Finding]]:
        """Say what was found in each text, in code points. What reaches beyond a text is nothing."""
        found: list[list[Finding]] = [[] for _ in self._starts]
        text = byte = chars = 0
        for (first, last), kind, rank in sorted(hits, key=span_of):
            index = bisect_right(self._starts, first) - 1
            if index < 0 or last > self._ends[index]:
                continue
            if index != text or not byte:
                text, byte, chars = index, self._starts[index], 0
            chars += len(self.raw[byte:first].decode("utf-8", "replace"))
            byte = first
            start, end = chars, chars + len(self.raw[first:last].decode("utf-8", "replace"))
            if odd := self._plain[index]:
                start, end = odd.place(start, end)
            found[index].append(Finding(kind, start, end, rank))
        return found


def span_of(hit: Hit) -> Span:
    return hit[0]


def encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: one character for one
        return text.encode("utf-8", "replace")


def in_utf8(classes: str) -> bytes:
    """Write a class of characters as an expression over bytes."""
    chars = re.findall(r"(.)-(.)|(.)", classes)
    each = [
        chr(code)
        for first, last, one in chars
        for code in (range(ord(first), ord(last) + 1) if first else [ord(one)])
    ]
    return b"|".join(b"".join(b"\\x%02x" % byte for byte in char.encode()) for char in each)


ODD_BYTES = b"|".join(
    (
        in_utf8(f"{UNSEEN}{DIGITS}{SPACES}\uff10-\uff19\uff20\uff21-\uff3a\uff41-\uff5a"),
        b"[0-9](?:" + in_utf8(DASHES) + b")[0-9]",
    )
)
"""What makes it worth to make texts plain first. Chinese commas and colons do not."""
