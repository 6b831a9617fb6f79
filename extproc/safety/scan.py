r"""Personal data in whatever was kept: where it stands and of which type, never what it is.

Long texts are read through windows, so no line and no file is ever held whole. A window sees a little of
what is before and behind it, and what begins in it is its own: nothing is missed or told twice at a seam.
What JSON escapes is looked at as it is and unescaped: `\u0040` hides nothing.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from extproc.safety.expressions import FloodError
from extproc.safety.pii.engine import Engine, Said
from extproc.safety.pii.finding import Finding, resolve
from extproc.safety.pii.mask import name_of, replace
from extproc.safety.pii.own import Own
from extproc.safety.pii.patterns import LOOKALIKE

WINDOW = 128 * 1024
"""Characters looked through at once."""
BEFORE, BEHIND = 1024, 8 * 1024
"""Characters around a window: words that speak for a value, and the longest values, which are keys."""
LEAST = 2 * 1024
"""Characters that are not divided any further: they cannot hold too many values."""
SEAM = 512
"""Characters that halves have in common, on either side."""
LAYERS = 4
"""Of escapes: arguments of a call are JSON, in a body, in a line of a log."""
MOST_PLACES = 10_000
"""Of which it is kept where they are; the others are counted."""
ESCAPE = re.compile(r"""\\(?:u([0-9A-Fa-f]{4})|(["\\/bfnrt]))""")
PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Piece(msgspec.Struct, frozen=True):
    """Some text, and where it was found."""

    where: str
    """A file, or a place in a table; nothing in it is personal data."""
    text: str
    name: str = ""
    """Of the column that holds it, which may tell what it is."""
    line: int = 1
    """Of its first character, and so `column`, from 1."""
    column: int = 1
    begin: int = 0
    """What starts before, or at `end` or behind it, is another piece's."""
    end: int | None = None

    def __repr__(self) -> str:
        """Without the text."""
        return f"Piece({self.where}:{self.line}:{self.column})"


class Place(msgspec.Struct, frozen=True):
    """Where a value stands."""

    type: str
    where: str
    line: int
    column: int


class Report(msgspec.Struct):
    """What was found so far. It has no values."""

    counts: Counter[str] = msgspec.field(default_factory=Counter[str])
    places: list[Place] = msgspec.field(default_factory=list[Place])
    read: Counter[str] = msgspec.field(default_factory=Counter[str])
    """How many files, rows, keys and characters."""
    skipped: list[str] = msgspec.field(default_factory=list[str])
    """Files that hold no text."""
    unread: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """What could not be read, or not to its end, and why."""

    def add(self, places: Iterable[Place]) -> None:
        for place in places:
            self.counts[place.type] += 1
            if len(self.places) < MOST_PLACES:
                self.places.append(place)


class Scanner:
    """Looks for these types; none named: all that the engine knows, and one's own."""

    def __init__(
        self,
        engine: Engine,
        own: Own | None = None,
        types: AbstractSet[str] = frozenset(),
        without: AbstractSet[str] = frozenset(),
    ) -> None:
        self._engine = engine
        self._own = own
        self._types = types
        self._without = without

    def scan(self, pieces: Iterable[Piece]) -> Iterator[Place]:
        """Look through them, many short ones at once."""
        batch: list[Piece] = []
        size = 0
        for piece in pieces:
            batch.append(piece)
            size += len(piece.text)
            if size >= WINDOW:
                yield from self._scan(batch)
                batch, size = [], 0
        yield from self._scan(batch)

    def shown(self, name: str) -> str:
        """Write a name so that it can be told: types stand where it has values."""
        found = self._engine.find([Said(name[:LEAST])], self._own)[0]
        return replace(
            printable(name[:LEAST]),
            [each for each in resolve(found) if each.type != LOOKALIKE],
            lambda kind, _: f"[{name_of(kind)}]",
        )

    def _scan(self, batch: Sequence[Piece]) -> Iterator[Place]:
        if not batch:
            return
        layers = [unescape(piece.text) for piece in batch]
        said = [
            Said(layer.text, piece.name)
            for piece, each in zip(batch, layers, strict=True)
            for layer in each
        ]
        try:
            found = iter(self._engine.find(said, self._own))
        except FloodError:
            for part in divide(batch):
                yield from self._scan(part)
            return
        for piece, each in zip(batch, layers, strict=True):
            findings = [layer.place(finding) for layer in each for finding in next(found)]
            if findings:
                yield from locate(piece, self._keep(resolve(findings)))

    def _keep(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for each in findings:
            wanted = not self._types or each.type in self._types
            if wanted and each.type not in self._without and each.type != LOOKALIKE:
                yield each


class Layer(msgspec.Struct, frozen=True):
    """A text as it is read, and the way back to how it is written."""

    text: str
    read: Sequence[int] = ()
    """Where, in the text, something begins that is written longer than it is read, or is over."""
    written: Sequence[int] = ()
    """Where that is in `under`."""
    under: "Layer | None" = None
    """The text that this one was read from; none: it is as it is written."""

    def place(self, finding: Finding) -> Finding:
        start, end = self.back(finding.start), self.back(finding.end - 1) + 1
        return msgspec.structs.replace(finding, start=start, end=max(end, start + 1))

    def back(self, at: int) -> int:
        if self.under is None:
            return at
        index = bisect_right(self.read, at) - 1
        return self.under.back(at if index < 0 else self.written[index] + at - self.read[index])


def unescape(text: str) -> Sequence[Layer]:
    """Read escapes, and those that were themselves escaped."""
    layers = [Layer(text)]
    while "\\" in layers[-1].text and len(layers) <= LAYERS:
        under = layers[-1]
        pieces, read, written = list[str](), list[int](), list[int]()
        last = at = 0
        for match in ESCAPE.finditer(under.text):
            pieces += (under.text[last : match.start()], char := plain(match))
            at += match.start() - last
            read += (at, at + len(char))
            written += match.span()
            at += len(char)
            last = match.end()
        if not read:
            break
        layers.append(Layer("".join([*pieces, under.text[last:]]), read, written, under))
    return layers


def plain(match: re.Match[str]) -> str:
    """Write what an escape stands for. Half a surrogate pair is no letter of anything."""
    if match[1]:
        char = chr(int(match[1], 16))
        return "\ufffd" if "\ud800" <= char <= "\udfff" else char
    return PLAIN.get(match[2], match[2])


def divide(batch: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Halve what holds more places than the engine looks at; a text so short that it cannot is left."""
    if len(batch) > 1:
        yield batch[: len(batch) // 2]
        yield batch[len(batch) // 2 :]
    elif len(batch[0].text) > LEAST:
        whole, middle = batch[0], len(batch[0].text) // 2
        end = len(whole.text) if whole.end is None else whole.end
        left = whole.text[: middle + SEAM]
        yield [msgspec.structs.replace(whole, text=left, end=min(end, middle))]
        start = middle - SEAM
        line, column = move(whole.line, whole.column, whole.text[:start])
        begin, end = max(SEAM, whole.begin - start), max(0, end - start)
        yield [Piece(whole.where, whole.text[start:], whole.name, line, column, begin, end)]


def locate(piece: Piece, findings: Iterable[Finding]) -> Iterator[Place]:
    """Say where findings stand; they are in order."""
    line, column, at = piece.line, piece.column, 0
    end = len(piece.text) if piece.end is None else piece.end
    for each in findings:
        line, column = move(line, column, piece.text[at : each.start])
        at = each.start
        if piece.begin <= at < end:
            yield Place(each.type, piece.where, line, column)


def move(line: int, column: int, text: str) -> tuple[int, int]:
    """Go over a text."""
    lines = text.count("\n")
    return line + lines, len(text) - text.rfind("\n") if lines else column + len(text)


def windows(where: str, chunks: Iterable[str], name: str = "") -> Iterator[Piece]:
    """Cut a text of any length, read in chunks, into pieces."""
    text, begin, line, column = "", 0, 1, 1
    for chunk in chunks:
        text += chunk
        while len(text) - begin >= WINDOW + BEHIND:
            end = begin + WINDOW
            yield Piece(where, text[: end + BEHIND], name, line, column, begin, end)
            drop = end - BEFORE
            line, column = move(line, column, text[:drop])
            text, begin = text[drop:], BEFORE
    if len(text) > begin:
        yield Piece(where, text, name, line, column, begin)


def printable(name: str) -> str:
    """Keep control characters from terminals; as long as it was."""
    return "".join(char if char.isprintable() else "?" for char in name)
