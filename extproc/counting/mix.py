"""Which scripts a text is written in: what an estimate of its tokens is made from.

In UTF-8 the first byte of a character tells its block, and bytes that continue one never look like a
first one; so counting bytes of some values counts characters. `bytes.translate` does that at
1-2 GB/s: as fast as looking up what was counted before, so nothing is remembered.
"""

from typing import Self

import msgspec

LETTERS = bytes(range(ord("A"), ord("Z") + 1)) + bytes(range(ord("a"), ord("z") + 1)) + b" "
SYMBOLS = bytes(byte for byte in range(128) if byte not in LETTERS)
IDEOGRAPHS = bytes(range(0xE3, 0xEE)) + b"\xef"
"""First bytes of U+3000-U+DFFF and U+F000-U+FFFF: Chinese, Japanese and Korean, full width forms."""
ASCII = bytes(range(128))
CHUNK_CHARS = 262_144
"""Scanned at a time; 0.3 ms, in which no other thread gets its turn."""
SCRIPTS = ("letters", "symbols", "ideographs", "others")


class Mix(msgspec.Struct, frozen=True):
    """Characters of a prompt by script, and its messages."""

    letters: int = 0
    """Of the English alphabet, and spaces."""
    symbols: int = 0
    """The rest of ASCII: digits, punctuation, line ends; code has many."""
    ideographs: int = 0
    """Chinese, Japanese, Korean."""
    others: int = 0
    """All other scripts, accented letters, emoji."""
    messages: int = 0

    def counts(self) -> tuple[int, int, int, int]:
        """In the order of `SCRIPTS`."""
        return self.letters, self.symbols, self.ideographs, self.others

    def encode(self) -> str:
        """Write it as it travels in metadata: at most 40 bytes for 16 MiB."""
        return f"{self.letters} {self.symbols} {self.ideographs} {self.others} {self.messages}"

    @classmethod
    def decode(cls, text: str) -> Self | None:
        """Read what `encode` wrote; None when it is something else."""
        parts = text.split(" ")
        if len(parts) != 5 or not all(part.isascii() and part.isdecimal() for part in parts):
            return None
        letters, symbols, ideographs, others, messages = (int(part) for part in parts)
        return cls(letters, symbols, ideographs, others, messages)


def scan(text: str, messages: int = 0) -> Mix:
    """Count a text's characters by script. Cost: 0.2 us and 1 us for each kB of English; 4 us for
    each thousand characters of Chinese."""
    if len(text) <= CHUNK_CHARS:
        return Mix(*scan_chunk(text), messages)
    starts = range(0, len(text), CHUNK_CHARS)
    found = [scan_chunk(text[start : start + CHUNK_CHARS]) for start in starts]
    letters, symbols, ideographs, others = (sum(script) for script in zip(*found, strict=True))
    return Mix(letters, symbols, ideographs, others, messages)


def scan_chunk(text: str) -> tuple[int, int, int, int]:
    raw = text.encode("utf-8", "replace")
    if len(raw) == len(text):
        symbols = len(raw.translate(None, LETTERS))
        return len(raw) - symbols, symbols, 0, 0
    wide = raw.translate(None, ASCII)
    plain = len(raw) - len(wide)
    symbols = len(raw.translate(None, LETTERS)) - len(wide)
    ideographs = len(wide) - len(wide.translate(None, IDEOGRAPHS))
    return plain - symbols, symbols, ideographs, len(text) - plain - ideographs
