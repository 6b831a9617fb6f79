"""Rewrites the texts of an answer as they pass, JSON or server-sent events, and no other byte.

    event -> pieces by channel -> a `Passage` for each channel -> the event with other texts

What a passage holds back when its channel ends goes out in an event of its own, before the one that ends
it. An answer in JSON is never held: it is one passage for each of its strings.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from extproc.dialects import deltas
from extproc.dialects.deltas import Channel, Reading
from extproc.dialects.ending import Document, count, members
from extproc.dialects.jsonbody import JsonBody
from extproc.dialects.literals import Place, quote, rewrite, unquote
from extproc.dialects.passage import TEXTS, Editor, Passage, alone, literal_depth
from extproc.dialects.sse import Event, Splitter
from extproc.filter import BodyTransform
from extproc.request import Kind

NUMBER = re.compile(rb'(?<!\\)("sequence_number"\s*+:\s*+)(\d+)')
JSON_SIGNS = (b"{", b"[")


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
            if not (begun := self._held.lstrip()):
                return b""
            chunk = self._held
            is_json = begun.startswith(JSON_SIGNS)
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

    def feed(self, chunk: bytes) -> bytes:
        if self._splitter.empty and chunk.endswith(b"\n\n") and self._may_pass(chunk):
            return chunk
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

    def _may_pass(self, raw: bytes) -> bool:
        return not self._open and not self._added and not self._editor.may_change(raw)

    def _write(self, event: Event) -> bytes:
        if self._may_pass(event.raw):
            return event.raw
        document = parse(event.data)
        if document is None:
            is_last = event.data == b"[DONE]"
            return (self._close(Reading(ends=None)) if is_last else b"") + event.raw
        reading = deltas.read(self._kind, document)
        pieces = {each.place: self._go_on(reading, each, document) for each in reading.pieces}
        # Only now: an event that ends a channel may itself bring the rest of its text.
        before = self._close(reading, count(document.get("sequence_number")))
        return before + self._put_in(event, pieces)

    def _go_on(self, reading: Reading, piece: deltas.Piece, document: Document) -> tuple[str, str]:
        """Return the text that stands there, and the one that is to."""
        channel = piece.channel
        known = self._open.pop(channel, None)
        passage = known[0] if known else self._editor.begin(self._depth(channel))
        text = passage.feed(piece.text)
        if reading.ends_with(channel):
            text += passage.finish()
        elif not passage.idle:
            self._open[channel] = (passage, document)
        return piece.text, text

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

    def _put_in(self, event: Event, pieces: Mapping[Place, tuple[str, str]]) -> bytes:
        """Write the event with other texts. What is no piece stands alone."""
        changed = {place: both for place, both in pieces.items() if both[0] != both[1]}
        stands = self._editor.may_stand(event.raw)
        data = None if stands else replace_only(event.data, changed) if changed else event.data
        if data is None:
            data = rewrite(event.data, self._change(pieces, stands=stands))
        if self._added:
            data = NUMBER.sub(lambda m: m[1] + b"%d" % (int(m[2]) + self._added), data, 1)
        return event.raw if data == event.data else replace_data(event, data)

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


def replace_only(data: bytes, changed: Mapping[Place, tuple[str, str]]) -> bytes | None:
    """Replace one text that stands in one place only, written in the usual way; else None."""
    ((place, (old, new)), *more) = changed.items()
    if more:
        return None
    for between in (":", ": "):
        head = f'"{place[-1]}"{between}"'
        try:
            known = f'{head}{quote(old)}"'.encode()
            if data.count(known) == 1:
                return data.replace(known, f'{head}{quote(new)}"'.encode())
        except UnicodeEncodeError:
            return None
    return None


def parse(data: bytes) -> Document | None:
    """Parse an event; None for what is no JSON object: `[DONE]`, comments."""
    if not data.startswith(b"{"):
        return None
    try:
        return members(msgspec.json.decode(data))
    except (msgspec.DecodeError, RecursionError):
        return None


def replace_data(event: Event, data: bytes) -> bytes:
    """Write an event with other data. The data of most stand in one line."""
    if event.data in event.raw:
        return event.raw.replace(event.data, data, 1)
    lines = event.raw.splitlines(keepends=True)
    others = [each for each in lines if not each.startswith(b"data") and each.strip()]
    return b"".join([*others, *(b"data: " + each + b"\n" for each in data.split(b"\n")), b"\n"])
