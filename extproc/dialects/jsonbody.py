"""Rewrites an answer that is one JSON document as it comes, however long it is."""

import codecs
import re
from typing import cast

from extproc.dialects.passage import Editor, Passage, literal_depth
from extproc.request import Kind

INSIDE = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
NAME_CHARS = 64
"""Of a member's name: all that is kept of a string in case it is one."""


class JsonBody:
    """An answer that is one document, scanned as it comes. Every string is a text of its own."""

    def __init__(self, kind: Kind, editor: Editor, json_texts: frozenset[str]) -> None:
        self._kind = kind
        self._editor = editor
        self._json_texts = json_texts
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._passage: Passage | None = None
        self._rest = ""
        self._string = ""
        """The beginning of the last string, which may have been a name."""
        self._is_value = False
        """Whether a colon came after it."""

    def feed(self, chunk: bytes) -> bytes:
        return self._scan(self._decode(chunk))

    def finish(self) -> bytes:
        """What was cut off in a string goes out as it is."""
        held = self._passage.finish() if self._passage else ""
        rest, self._rest = self._rest, ""
        last = self._decode(b"", final=True)
        return (held + rest + last).encode(errors="surrogateescape")

    def _scan(self, new: str) -> bytes:
        text, at, out = self._rest + new, 0, list[str]()
        self._rest = ""
        while at < len(text):
            if self._passage is None:
                at = self._pass_by(text, at, out)
                continue
            end = cast("re.Match[str]", INSIDE.match(text, at)).end()
            piece, at = text[at:end], end
            self._string = (self._string + piece)[:NAME_CHARS] if piece else self._string
            out.append(self._passage.feed(piece))
            if at == len(text):
                break
            if text[at] == "\\":  # half an escape
                self._rest = text[at:]
                break
            out.append(self._passage.finish() + '"')
            at, self._passage = at + 1, None
        return "".join(out).encode(errors="surrogateescape")

    def _pass_by(self, text: str, at: int, out: list[str]) -> int:
        """Pass on what stands between two strings, and begin the next one."""
        found = text.find('"', at)
        end = len(text) if found < 0 else found + 1
        gap = text[at:end]
        out.append(gap)
        self._is_value = self._is_value or ":" in gap
        if found >= 0:
            name = self._string if self._is_value else ""
            self._passage = self._editor.begin(literal_depth(self._kind, name, self._json_texts))
            self._string, self._is_value = "", False
        return end
