"""Rewrites the texts of an answer as they pass, JSON or server-sent events, and no other byte.

    event -> pieces by channel -> a `Passage` for each channel -> the event with other texts

An event that is like the one before but for its text (`frame.py`) is not even parsed.

What a passage holds back when its channel ends goes out in an event of its own, before the one that ends
it. An answer in JSON is never held: it is one passage for each of its strings.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import cast

import msgspec

from extproc.dialects import deltas
from extproc.dialects.deltas import Channel, Reading
from extproc.dialects.ending import Document, count, members
from extproc.dialects.frame import Frame, make_frame
from extproc.dialects.jsonbody import JsonBody
from extproc.dialects.literals import Place, quote, rewrite, unquote
from extproc.dialects.opening import may_be_object, open_answer
from extproc.dialects.passage import TEXTS, Editor, Passage, alone, literal_depth
from extproc.dialects.sse import Event, Splitter
from extproc.filter import BodyTransform
from extproc.request import Kind

NUMBER = re.compile(rb'(?<!\\)("sequence_number"\s*+:\s*+)(\d+)')


class Rewriting(BodyTransform):
    """Finds out by the first byte how an answer is written: engines refuse streams in JSON."""

    def __init__(
        self, kind: Kind, editor: Editor, json_texts: frozenset[str] = frozenset()
    ) -> None:
        """`json_texts` names members whose text is JSON, beside arguments: the content, where the
        request asked for JSON."""
        self._what = (kind, editor, json_texts)
        self._body: JsonBody | Events | None = None
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        if self._body is None:
            self._held += chunk
            if (opened := open_answer(self._held)) is None:
                return b""
            is_json, chunk = opened
            self._body = JsonBody(*self._what) if is_json else Events(*self._what)
        return self._body.feed(chunk)

    def finish(self) -> bytes:
        return self._body.finish() if self._body else self._held


class Events:
    """A stream."""

    def __init__(self, kind: Kind, editor: Editor, json_texts: frozenset[str]) -> None:
        self._kind = kind
        self._editor = editor
        self._json_texts = json_texts
        self._splitter = Splitter()
        self._open: dict[Channel, tuple[Passage, Document]] = {}
        """Passages that hold something, with the event that they got it from."""
        self._added = 0
        """Events that were put in, and count in the numbers of the next ones."""
        self._frame: Frame | None = None
        """Of the last event with a piece of one text that was parsed, and does not end it."""

    def feed(self, chunk: bytes) -> bytes:
        is_whole = self._splitter.empty and chunk.endswith(b"\n\n")
        if is_whole and (passed := self._pass(chunk)) is not None:
            return passed
        return b"".join([self._write(each) for each in self._split(chunk)])

    def finish(self) -> bytes:
        rest = b"".join([self._write(each) for each in self._splitter.finish()])
        return rest + self._close(Reading(ends=None))

    def _split(self, chunk: bytes) -> list[Event]:
        """Most chunks are one event in one line, and told from others at a tenth of the cost."""
        if (
            self._splitter.empty
            and chunk.startswith(b"data: ")
            and chunk.find(b"\n") == len(chunk) - 2
            and chunk.endswith(b"\n\n")
            and b"\r" not in chunk
        ):
            return [Event(chunk, chunk[6:-2])]
        return self._splitter.feed(chunk)

    def _pass(self, raw: bytes) -> bytes | None:
        """Write what need not be parsed: whole events without a text to change, or one that is like
        the last. None: it has to be."""
        if not self._open and not self._added and not self._editor.may_change(raw):
            return raw
        frame = self._frame
        if frame is None or (found := frame.read(raw)) is None:
            return None
        old, tail = found
        new = self._go_on(frame.piece.channel, old, frame.document)
        return self._number(raw if new == old else frame.write(new, tail))

    def _write(self, event: Event) -> bytes:
        if (passed := self._pass(event.raw)) is not None:
            return passed
        document = parse(event.data)
        if document is None:
            is_last = event.data == b"[DONE]"
            return (self._close(Reading(ends=None)) if is_last else b"") + event.raw
        reading = deltas.read(self._kind, document)
        frame = self._find_frame(event.raw, reading, document)
        pieces: dict[Place, tuple[str, str]] = {}
        for each in reading.pieces:
            is_last = reading.ends_with(each.channel)
            new = self._go_on(each.channel, each.text, document, is_last=is_last)
            pieces[each.place] = (each.text, new)
        # Only now: an event that ends a channel may itself bring the rest of its text.
        before = self._close(reading, count(document.get("sequence_number")))
        return before + self._put_in(event, pieces, frame)

    def _find_frame(self, raw: bytes, reading: Reading, document: Document) -> Frame | None:
        """Find the bytes around its only text, if nothing in them can change; keep them for the next."""
        if len(reading.pieces) != 1:
            return None
        frame = make_frame(raw, reading.pieces[0], document)
        if frame is None or self._editor.may_stand(frame.head + frame.tail):
            return None
        if reading.ends == frozenset():
            self._frame = frame
        return frame

    def _go_on(
        self, channel: Channel, text: str, document: Document, *, is_last: bool = False
    ) -> str:
        """Return what is to stand for a piece."""
        known = self._open.pop(channel, None)
        passage = known[0] if known else self._editor.begin(self._depth(channel))
        new = passage.feed(text)
        if is_last:
            new += passage.finish()
        elif not passage.idle:
            self._open[channel] = (passage, document)
        return new

    def _depth(self, channel: Channel) -> int:
        is_text = channel.name in TEXTS
        return int(channel.is_json or (is_text and bool(self._json_texts)))

    def _close(self, reading: Reading, number: int = 0) -> bytes:
        """Write what is held of channels that end, as events with that number and the next ones."""
        out = b""
        for channel in [each for each in self._open if reading.ends_with(each)]:
            passage, document = self._open.pop(channel)
            if text := passage.finish():
                if self._kind is Kind.RESPONSES:
                    document = {**document, "sequence_number": number + self._added}
                    self._added += 1
                out += deltas.write(self._kind, channel, document, text)
        return out

    def _put_in(
        self, event: Event, pieces: Mapping[Place, tuple[str, str]], frame: Frame | None
    ) -> bytes:
        """Write the event with other texts. What is no piece stands alone."""
        is_new = any(old != new for old, new in pieces.values())
        if frame is not None:
            ((_, new),) = pieces.values()
            raw = frame.write(new, frame.tail) if is_new else event.raw
        else:
            stands = self._editor.may_stand(event.raw)
            data = event.data
            if is_new or stands:
                data = rewrite(data, self._change(pieces, stands=stands))
            raw = event.raw if data == event.data else replace_data(event, data)
        return self._number(raw)

    def _number(self, raw: bytes) -> bytes:
        """Count what was put in."""
        if not self._added:
            return raw
        return NUMBER.sub(lambda m: m[1] + b"%d" % (int(m[2]) + self._added), raw, 1)

    def _change(
        self, pieces: Mapping[Place, tuple[str, str]], *, stands: bool
    ) -> Callable[[Place, str], str]:
        def change(place: Place, written: str) -> str:
            if place in pieces:
                old, new = pieces[place]
            elif stands:  # as a whole, it is read as pieces are, so that both come out alike
                depth = literal_depth(self._kind, place[-1] if place else "", self._json_texts)
                old = unquote(written)
                new = alone(self._editor, depth - 1, old)
            else:
                return written
            return written if old == new else quote(new)

        return change


def parse(data: bytes) -> Document | None:
    """Parse an event. Half a surrogate pair is text too; None for what is no JSON object: `[DONE]`,
    comments."""
    if not may_be_object(data):
        return None
    try:
        return members(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return cast("Document", json.loads(data))
    except (ValueError, RecursionError):
        return None


def replace_data(event: Event, data: bytes) -> bytes:
    """Write an event with other data. The data of most stand in one line."""
    if event.data in event.raw:
        return event.raw.replace(event.data, data, 1)
    lines = event.raw.splitlines(keepends=True)
    others = [each for each in lines if not each.startswith(b"data") and each.strip()]
    return b"".join([*others, *(b"data: " + each + b"\n" for each in data.split(b"\n")), b"\n"])
