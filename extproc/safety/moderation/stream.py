"""Moderates a streamed answer as it passes.

Whole events are held and let go, so that what passes is as the engine wrote it. Held at once are at most
`hold.tokens`; after `hold.ms` they are judged by what is there. What is not held:

    tags    where rules only tag, everything passes as it comes
    words   an event is free when no match can begin in it any more; after `hold.ms` a word that is there
            counts, whether or not it goes on
    services    all that is held makes one window, which they judge with what came before it

A hit drops what is held, ends the stream in the words of its API, and stops the engine.
"""

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from extproc.dialects import deltas
from extproc.dialects.deltas import Channel, Reading
from extproc.dialects.ending import Document, Ending, members
from extproc.dialects.rewriting import parse
from extproc.dialects.sse import Event, Splitter
from extproc.filter import BodyTransform
from extproc.request import Kind
from extproc.safety.expressions import FloodError
from extproc.safety.moderation.hold import Held, Hold, weigh
from extproc.safety.moderation.panel import Bench, find_block
from extproc.safety.moderation.rules import Hit, UnjudgedError
from extproc.safety.moderation.whole import UNJUDGED, find_strings
from extproc.safety.moderation.words import Match, Reader

BEFORE_CHARS = 400
"""Of what went out, which services see again before the next window: some sentences."""
DONE = b"[DONE]"


class ModeratedStream(BodyTransform):
    """Of server-sent events."""

    def __init__(
        self,
        kind: Kind,
        bench: Bench,
        ending: Ending,
        tell: Callable[[Hit], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`tell` hears of each rule's first hit before anything else goes out."""
        self._kind = kind
        self._bench = bench
        self._ending = ending
        self._tell = tell
        self._clock = clock
        self._most = bench.hold()
        self._splitter = Splitter()
        self._arrived: deque[Event] = deque()
        self._hold = Hold()
        self._readers: dict[Channel, Reader | None] = {}
        self._free: set[Channel] = set()
        """Channels that have ended: all of them is free."""
        self._window: dict[Channel, list[str]] = {}
        self._before: dict[Channel, str] = {}
        self._window_tokens = self._seen_tokens = 0
        self._told: set[str] = set()
        self._cut: dict[Channel, int] = {}
        """Where the first match begins."""
        self._blocked: Hit | None = None
        self.waits = self.over = False

    def patience_s(self) -> float | None:
        if not self._hold or self.over:
            return None
        return max(0.0, self._hold.first.since_s + self._most.ms / 1000 - self._clock())

    def feed(self, chunk: bytes) -> bytes:
        self._arrived += self._splitter.feed(chunk)
        return self._advance()

    def finish(self) -> bytes:
        """What was not judged when the stream broke off is judged now."""
        if self.over:
            return b""
        self._arrived += self._splitter.finish()
        out = self._advance()
        if not (self.waits or self.over):
            out += self._conclude()
        return out

    async def wait(self) -> None:
        """Have the window judged."""
        self.waits = False
        texts = {
            channel: self._before.get(channel, "") + "".join(pieces)
            for channel, pieces in self._window.items()
        }
        self._window.clear()
        self._window_tokens = 0
        try:
            found = await self._bench.ask(list(texts.values()))
        except UnjudgedError as exc:
            self._blocked = Hit(exc.service, UNJUDGED, "block")
            self._tell(self._blocked)
            return
        self._before.update({c: text[-BEFORE_CHARS:] for c, text in texts.items()})
        self._note([each for hits in found for each in hits])
        if self._blocked is None:
            self._hold.judge()

    def _advance(self) -> bytes:
        out: list[bytes] = []
        while self._arrived and not (self.waits or self.over):
            self._look(self._arrived.popleft())
            out += self._release()
        if not (self.waits or self.over):
            if late := self.patience_s() == 0:
                self._look_at_what_is_there()
            out += self._release(late=late)
        return b"".join(out)

    def _look_at_what_is_there(self) -> None:
        """Before it goes out: a word that may yet go on counts, for it would be out as a whole."""
        for channel, reader in self._readers.items():
            if reader is not None and channel not in self._free:
                found = reader.finish()
                self._match(channel, [each for each in found if each.rule.action == "block"])

    def _conclude(self) -> bytes:
        """Let go of what is left, or have it judged first."""
        if self._window_tokens:
            self.waits = True
            return b""
        for channel in self._readers:
            self._end(channel)
        return b"".join(self._release(late=True))

    def _look(self, event: Event) -> None:
        document = parse(event.data)
        reading = deltas.read(self._kind, document) if document is not None else Reading()
        said = [each for each in reading.pieces if each.text]
        try:
            ends = tuple((each.channel, self._hear(each)) for each in said)
            if not reading.pieces and event.data != DONE:
                self._hear_alone(event, document)
        except FloodError:
            self._note([Hit("flood", UNJUDGED, "block")])
            ends = ()
        tokens = sum(weigh(each.text) for each in said)
        asked = tokens > 0 and self._is_asked(tokens)
        judged = not (asked and self._bench.blocks)
        self._hold.add(Held(event.raw, document, ends, tokens, self._clock(), judged))
        if asked:
            self._window_tokens += tokens
            for each in said:
                self._window.setdefault(each.channel, []).append(each.text)
        self._see_ends(reading, is_last=event.data == DONE or reading.ends is None)

    def _see_ends(self, reading: Reading, *, is_last: bool) -> None:
        for channel in list(self._readers):
            if is_last or reading.ends_with(channel):
                self._end(channel)
        full = is_last or bool(reading.ends) or self._window_tokens >= self._most.tokens
        self.waits = full and self._window_tokens > 0

    def _is_asked(self, tokens: int) -> bool:
        """Whether services judge this event: all, or those of a window that was drawn."""
        if not self._bench.asks:
            return False
        self._seen_tokens += tokens
        sampling = self._bench.sampling
        if sampling is None or self._seen_tokens <= sampling.after_tokens:
            return True
        beyond = self._seen_tokens - sampling.after_tokens
        return beyond // max(1, self._most.tokens) % sampling.every == 0

    def _hear(self, piece: deltas.Piece) -> int:
        """Look for words; say where the piece ends. Raises: FloodError."""
        channel = piece.channel
        if channel not in self._readers:
            self._readers[channel] = self._bench.reader(is_json=channel.is_json)
        reader = self._readers[channel]
        if reader is None:
            return 0
        self._free.discard(channel)
        self._match(channel, reader.feed(piece.text))
        return reader.length

    def _hear_alone(self, event: Event, document: Document | None) -> None:
        """Look for words in what is no piece: a text that is repeated, or of a form nobody knows. Of what
        a response repeats, only the answer: its request is judged by other rules."""
        if document is None:
            self._note(self._bench.read(event.data.decode(errors="replace")))
            return
        is_repeated = self._kind is Kind.RESPONSES and "response" in document
        told = members(document["response"]).get("output") if is_repeated else document
        for text in find_strings(told):
            self._note(self._bench.read(text))

    def _end(self, channel: Channel) -> None:
        if (reader := self._readers[channel]) is not None and channel not in self._free:
            self._match(channel, reader.finish())
            self._free.add(channel)

    def _match(self, channel: Channel, found: Sequence[Match]) -> None:
        for each in found:
            rule = each.rule
            if rule.action == "block":
                self._cut[channel] = min(each.start, self._cut.get(channel, each.start))
            self._note([Hit(rule.name, rule.name, rule.action)])

    def _note(self, hits: Sequence[Hit]) -> None:
        for each in hits:
            if each.rule not in self._told:
                self._told.add(each.rule)
                self._tell(each)
        self._blocked = self._blocked or find_block(hits)

    def _release(self, *, late: bool = False) -> list[bytes]:
        """Take what may go out. `late`: it was held long enough."""
        out: list[bytes] = []
        while self._hold and self._may_go(self._hold.first, late=late):
            held = self._hold.take()
            if held.document is not None:
                self._ending.note(held.document)
            out.append(held.raw)
        if self._blocked is not None:
            out.append(self._close(self._blocked))
        elif self._hold and not self._hold.first.judged:
            self.waits = self.waits or late
        return out

    def _may_go(self, held: Held, *, late: bool) -> bool:
        if not held.judged:
            return False
        if self._blocked is not None:
            return self._is_before_cut(held)
        return late or self._is_free(held) or self._hold.tokens > self._most.tokens

    def _is_before_cut(self, held: Held) -> bool:
        if not (self._cut and held.ends):
            return False
        return all(end <= self._cut.get(channel, end) for channel, end in held.ends)

    def _is_free(self, held: Held) -> bool:
        if not self._bench.blocks:
            return True
        for channel, end in held.ends:
            reader = self._readers[channel]
            if reader is not None and channel not in self._free and end > reader.clear:
                return False
        return True

    def _close(self, why: Hit) -> bytes:
        self.over, self.waits = True, False
        self._hold.drop()
        return self._ending.close(why.rule, by_rule=True)
