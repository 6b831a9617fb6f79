"""What answers of `/v1/responses` repeat of the request: its instructions, as the engine got them.

The operator's words and their mark stand there as well, so that each answer would tell them. What the
client itself has sent is put in their place, before anybody looks through the answer.
"""

from extproc.dialects.literals import Place, quote, rewrite
from extproc.dialects.opening import open_answer
from extproc.dialects.rewriting import replace_data
from extproc.dialects.sse import Event, Splitter
from extproc.filter import BodyTransform

NAME = b'"instructions"'
PLACES = (("instructions",), ("response", "instructions"))
"""In an answer in JSON, and in events that tell how far a response is."""


class Unechoed(BodyTransform):
    """Of one answer. One in JSON is held until it is all there: it has one string more than the text that
    an engine makes."""

    def __init__(self, sent: str) -> None:
        """`sent`: the client's own instructions."""
        self._sent = quote(sent)
        self._splitter = Splitter()
        self._held: list[bytes] = []
        """Of an answer in JSON all of it; else what came before it was known what it is."""
        self._is_json: bool | None = None

    def feed(self, chunk: bytes) -> bytes:
        if self._is_json is None:
            self._held = [b"".join([*self._held, chunk])]
            if (opened := open_answer(*self._held)) is None:
                return b""
            (self._is_json, chunk), self._held = opened, []
        if self._is_json:
            self._held.append(chunk)
            return b""
        return b"".join(map(self._write, self._splitter.feed(chunk)))

    def finish(self) -> bytes:
        rest = b"".join(map(self._write, self._splitter.finish()))
        held, self._held = b"".join(self._held), []
        return rest + rewrite(held, self._change)

    def _write(self, event: Event) -> bytes:
        if NAME not in event.data:
            return event.raw
        data = rewrite(event.data, self._change)
        return event.raw if data == event.data else replace_data(event, data)

    def _change(self, place: Place, written: str) -> str:
        return self._sent if place in PLACES else written
