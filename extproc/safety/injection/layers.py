"""What is in a text without standing there: decoded, joined, turned round.

Bounded whatever is given: so many pieces, so many bytes, two layers deep. What is beyond that is not
looked at, and is told as the signal `layers`, for nobody nests base64 three times without a reason.
"""

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final
from urllib.parse import unquote

import hyperscan
import msgspec
import re2

from extproc.safety.expressions import Expressions

MOST_DEPTH = 2
MOST_PIECES = 64
"""Of each encoding, in a text."""
AROUND_CHARS = 120
MOST_BYTES = 65_536
"""Decoded, of a text and all its layers."""
PROBE_CHARS = 32
"""Of base64, decoded first: most of what looks like it is no text."""
LEAST_PRINTABLE = 0.9

BASE64 = re2.compile(r"[A-Za-z0-9+/_-]{20,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}")
HEX = re2.compile(r"(?:(?:\\x|0x|%)?[0-9A-Fa-f]{2}[ :,]?){12,}")
HEX_PAIR = re.compile(r"(?:\\x|0x|%)?([0-9A-Fa-f]{2})[ :,]?")
BINARY = re2.compile(r"(?:[01]{8}[ ,]?){8,}")
CODES = re2.compile(r"(?:1?[0-9]{2}[ ,]{1,2}){12,}1?[0-9]{2}")
ESCAPED = re2.compile(r"(?:\\u00[0-9A-Fa-f]{2}){4,}")
ENTITY = re2.compile(r"&#[xX]?[0-9A-Fa-f]{2,5};")
PERCENT = re2.compile(r"(?:%[0-7][0-9A-Fa-f][A-Za-z]{0,12}){3}")
ROT13_WORDS = (
    r"\b(?:vtaber|qvfertneq|sbetrg|cerivbhf|vafgehpgvbaf?|cebzcg|flfgrz|erirny|olcnff|bireevqr|ehyrf"
    r"|erfgevpgvbaf|cergraq|erfcbaq|nafjre|ercrng)\b"
)
ROT13 = re2.compile(f"(?i){ROT13_WORDS}")
"""Words of attacks, in rot13: two of them, and the whole text is read so."""
REVERSED_WORDS = (
    r"(?:erongi|dragersid|tegrof|suoiverp|snoitcurtsni|tpmorp|metsys|laever|ssapyb|edirrevo|selur"
    r"|snoitcirtser|dneterp|taeper|ruoy|sretlif|tuohtiw|rewsna|edom)"
)
REVERSED = re2.compile(f"(?i){REVERSED_WORDS}")
SPACED = re.compile(r"(?<![A-Za-z0-9])(?:[A-Za-z0-9][ ._*|/-]{1,3}){6,}[A-Za-z0-9](?![A-Za-z0-9])")
SEPARATORS = re.compile(r"[ ._*|/-]")
LEET_SIGN = re.compile(r"[0134578@$!](?<=[a-z].)(?=[a-z])")
"""It begins with what is rare, which is searched for fastest."""
LEET = str.maketrans("0134578@$!", "oieastbasi")
CONCATENATED = re.compile(r"[\"'][ ]{0,3}[+.][ ]{0,3}[\"']")
ROT13_TABLE = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm",
)
SIGN: Final = 2
"""Words of an encoding that must be there before all is read in it."""
TRACES = {
    "base64": rb"[a-z0-9+/_-]{20}",
    "hex": rb"(?:(?:\\x|0x|%)?[0-9a-f]{2}[ :,]?){12}",
    "binary": rb"(?:[01]{8}[ ,]?){8}",
    "codes": rb"(?:1?[0-9]{2}[ ,]{1,2}){12}",
    "escapes": rb"(?:\\u00[0-9a-f]{2}){4}",
    "entities": rb"&#x?[0-9a-f]{2,5};",
    "percent": rb"%[0-7][0-9a-f][a-z]{0,12}%[0-7][0-9a-f]",
    "rot13": ROT13_WORDS.encode(),
    "reversed": REVERSED_WORDS.encode(),
    "spaced": rb"(?:\b[a-z0-9][ ._*|/-]{1,3}){6}[a-z0-9]\b",
    "leet": rb"[a-z][0134578@$!][a-z]",
    "joined": CONCATENATED.pattern.encode(),
}
"""What tells, in one pass of hyperscan, that it is worth while to look for a layer. Most texts have none,
and to look for all of them with Python's patterns would take 0.3 ms for each kB."""


class Layer(msgspec.Struct, frozen=True):
    how: str
    text: str
    squeezed: bool = False
    """Its words are not told apart."""


class Layers:
    """Finds layers. Compiled once; any thread may use it."""

    def __init__(self) -> None:
        self._names = list(TRACES)
        once = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH
        self._traces = Expressions(list(TRACES.values()), [once] * len(TRACES))

    def find(self, text: str, shown: str) -> list[Layer]:
        raw = text.encode(errors="replace")
        traces = self.trace(raw)
        if not traces:
            return []
        reader = Reader(self.trace)
        found = [*rewritings(text, raw, shown, traces), *reader.read(text, traces)]
        if reader.is_spent:
            found.append(Layer("spent", ""))
        return found

    def trace(self, raw: bytes) -> frozenset[str]:
        """Say which layers may be there."""
        seen: set[int] = set()

        def note(index: int, _start: int, _end: int, _flags: int, _: object) -> None:
            seen.add(index)

        self._traces.scan(raw, note)
        return frozenset(self._names[index] for index in seen)


def rewritings(text: str, raw: bytes, shown: str, traces: frozenset[str]) -> Iterator[Layer]:
    """The text written otherwise, as a whole. None of them makes it longer."""
    if "rot13" in traces and has(ROT13, raw, SIGN):
        yield Layer("rot13", text.translate(ROT13_TABLE))
    if "reversed" in traces and has(REVERSED, raw, SIGN):
        yield Layer("reversed", text[::-1])
    if "leet" in traces and len(places := find_leet(shown)) >= SIGN:
        yield Layer("leet", around(places, shown).translate(LEET))
    if "spaced" in traces:
        spaced = islice(SPACED.finditer(text), MOST_PIECES)
        runs = [SEPARATORS.sub("", match[0]) for match in spaced]
        if runs:
            yield Layer("spaced", " ".join(runs), squeezed=True)
    if "joined" in traces:
        yield Layer("joined", CONCATENATED.sub("", text))


def find_leet(shown: str) -> list[tuple[int, int]]:
    """Find signs between letters; those that share a letter are one."""
    places: list[tuple[int, int]] = []
    done = 0
    for match in LEET_SIGN.finditer(shown):
        start, end = match.start() - 1, match.end() + 1
        if start >= done:
            places.append((start, end))
            done = end
    return places


def around(places: Sequence[tuple[int, int]], text: str) -> str:
    """Take what lies around some places: long texts have a few that mean nothing."""
    pieces: list[str] = []
    done = 0
    for at, until in places:
        start = max(done, at - AROUND_CHARS)
        end = until + AROUND_CHARS
        if end > done:
            pieces.append(text[start:end] if start == done else f". {text[start:end]}")
            done = end
    return "".join(pieces)


def has(pattern: "re2.Regexp", raw: bytes, least: int) -> bool:
    return sum(1 for _ in islice(pattern.finditer(raw), least)) == least


def find_some(pattern: "re2.Regexp", raw: bytes) -> list[str]:
    """All of them have no characters but ASCII."""
    return [match[0].decode() for match in islice(pattern.finditer(raw), MOST_PIECES)]


@lru_cache(1)
def layers() -> Layers:
    """Compiled once in a process."""
    return Layers()


def find_layers(text: str, shown: str) -> list[Layer]:
    """Find all, layers in layers too. `shown` is the text as `normal.py` has it."""
    return layers().find(text, shown)


class Reader:
    """Decodes, as long as there are bytes left to be decoded into."""

    def __init__(
        self, trace: Callable[[bytes], frozenset[str]], most_bytes: int = MOST_BYTES
    ) -> None:
        self._trace = trace
        self._left = most_bytes
        self.is_spent = False

    def read(self, text: str, traces: frozenset[str], depth: int = 1) -> Iterator[Layer]:
        raw = text.encode(errors="replace")
        for how, pattern, decode in ENCODINGS:
            if how not in traces:
                continue
            for piece in find_some(pattern, raw):
                if len(piece) > 4 * self._left:
                    self.is_spent = True
                    piece = piece[: max(0, 4 * self._left)]  # noqa: PLW2901 - the rest is not looked at
                inner = decode(piece)
                if not inner or inner == piece:
                    continue
                self._left -= len(inner)
                yield from self._go_on(Layer(how, inner), depth)
        for how, decoded in unescape(text, raw, traces):
            self._left -= len(decoded) // 8
            yield from self._go_on(Layer(how, decoded), depth)

    def _go_on(self, layer: Layer, depth: int) -> Iterator[Layer]:
        yield layer
        raw = layer.text.encode(errors="replace")
        if depth < MOST_DEPTH:
            yield from self.read(layer.text, self._trace(raw), depth + 1)
        elif BASE64.search(raw) and decode_base64(layer.text.strip()):
            self.is_spent = True


def unescape(text: str, raw: bytes, traces: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Read escapes where they stand, if there are some in a row."""
    if "entities" in traces and has(ENTITY, raw, 4):
        yield "entities", html.unescape(text)
    if "percent" in traces and PERCENT.search(raw):
        yield "percent", unquote(text, errors="replace")


def decode_base64(piece: str) -> str:
    bare = re.sub(r"[\r\n=]", "", piece).replace("-", "+").replace("_", "/")
    if not as_text(from_base64(bare[:PROBE_CHARS])):
        return ""
    return as_text(from_base64(bare))


def from_base64(bare: str) -> bytes:
    try:
        return base64.b64decode(bare[: len(bare) - (len(bare) % 4 == 1)] + "=" * (-len(bare) % 4))
    except (binascii.Error, ValueError):
        return b""


def decode_hex(piece: str) -> str:
    return as_text(bytes.fromhex("".join(HEX_PAIR.findall(piece))))


def decode_binary(piece: str) -> str:
    return as_text(bytes(int(bits, 2) for bits in re.findall(r"[01]{8}", piece)))


def decode_codes(piece: str) -> str:
    numbers = [int(number) for number in re.findall(r"[0-9]+", piece)]
    return as_text(bytes(number for number in numbers if number < 256))


def decode_escapes(piece: str) -> str:
    return "".join(chr(int(code, 16)) for code in re.findall(r"\\u([0-9A-Fa-f]{4})", piece))


def as_text(raw: bytes) -> str:
    """Return it if people could have written it; else nothing. A character may be cut off at the end."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        if exc.start < len(raw) - 3 or exc.start == 0:
            return ""
        text = raw[: exc.start].decode()
    readable = sum(char.isprintable() or char in "\n\t\r" for char in text)
    return text if text and readable >= LEAST_PRINTABLE * len(text) else ""


ENCODINGS: tuple[tuple[str, "re2.Regexp", Callable[[str], str]], ...] = (
    ("hex", HEX, decode_hex),
    ("binary", BINARY, decode_binary),
    ("codes", CODES, decode_codes),
    ("escapes", ESCAPED, decode_escapes),
    ("base64", BASE64, decode_base64),
)
