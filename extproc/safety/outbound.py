"""Looks through answers for personal data that the caller did not send.

Of each text of a stream, what may be the beginning of a value is held back, up to 64 characters, and up
to 32 more between two looks, of which a text's first are closer: a value that is not longer is seen whole
before any of it goes out. Of a longer one the part that is still held is masked; one that goes on to the
end of what is there is kept until it ends, up to `MOST_HELD`.
Arguments of tool calls, and strings of an answer in JSON, are looked through as a whole.

    mask   the name of the type stands for the value: `[EMAIL]`
    cut    the answer ends before the value; a stream ends politely, and the engine is stopped
    tag    nothing: it is only counted
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Literal

import msgspec

from extproc.dialects.ending import Ending
from extproc.dialects.rewriting import Rewriting, parse
from extproc.dialects.sse import Splitter
from extproc.filter import BodyTransform
from extproc.request import Kind
from extproc.safety.expressions import FloodError
from extproc.safety.pii.begun import Openings
from extproc.safety.pii.engine import Engine, Said
from extproc.safety.pii.finding import Finding, resolve
from extproc.safety.pii.mask import name_of
from extproc.safety.pii.own import Own
from extproc.safety.pii.patterns import LOOKALIKE
from extproc.safety.pii.rules import ALL
from extproc.safety.window import WindowEditor

OutboundAction = Literal["mask", "cut", "tag"]
STRENGTH: Mapping[OutboundAction, int] = {"tag": 0, "mask": 1, "cut": 2}

FINISH = re.compile(rb'(?<!\\)"finish_reason"\s*+:\s*+"[a-z_]*+"')
REPEATS = (b'.done"', *(b'"response.%s"' % how for how in (b"completed", b"incomplete", b"failed")))
"""Events that repeat texts."""
LONG_BYTES = 65_536
"""Of one event or document: from here on it is looked through in a thread."""
MOST_PLACES = 200_000
"""Where something may be, in an answer: 4 to 10 s. A megabyte of numbers in columns has 130 000."""


class OutboundRule(msgspec.Struct, frozen=True):
    """For whom, and what then. Empty sets are everybody."""

    types: AbstractSet[str]
    """`all` is every type that no rule names."""
    action: OutboundAction
    tenants: AbstractSet[str] = frozenset()
    models: AbstractSet[str] = frozenset()


class Look:
    """What is known of one answer: rules, what the caller sent, and whether it was cut."""

    def __init__(
        self,
        engine: Engine,
        own: Own | None,
        rules: Sequence[OutboundRule],
        sent: Callable[[str, str], bool],
        tell: Callable[[str, OutboundAction], None],
        openings: Openings | None = None,
    ) -> None:
        """`sent` says whether the caller has sent a value of that type; `tell` hears of each that he
        has not by `report`. `openings` are those of the rules' types at least;
        without them, anything may be the beginning of a value."""
        self._engine = engine
        self._own = own
        self._rules = rules
        self._sent = sent
        self._tell = tell
        self._openings = openings
        self._places = 0
        self._treated: list[tuple[str, OutboundAction]] = []
        self.is_cut = False

    def find(self, text: str) -> Sequence[Finding]:
        """Raises: FloodError."""
        scanned = self._engine.scan([Said(text)])
        self._places += scanned.places
        if self._places > MOST_PLACES:
            raise FloodError("too many values")
        (found,) = self._engine.search(scanned, self._own)
        kept = [each for each in found if each.type != LOOKALIKE and self._action(each.type)]
        return resolve(kept, lambda each: STRENGTH[self._action(each.type) or "tag"])

    def find_open(self, text: str) -> int:
        return self._openings.find(text) if self._openings else 0

    def treat(self, kind: str, value: str) -> str | None:
        """Return what is to stand there; None ends the text before it."""
        action = self._action(kind)
        if action is None or self._sent(kind, value):
            return value
        self._treated.append((kind, action))
        if action == "cut":
            self.is_cut = True
            return None
        return f"[{name_of(kind)}]" if action == "mask" else value

    def report(self) -> None:
        """Tell of what was treated since the last time. Not for threads."""
        treated, self._treated = self._treated, []
        for kind, action in treated:
            self._tell(kind, action)

    def _action(self, kind: str) -> OutboundAction | None:
        for name in (kind, ALL):
            for rule in self._rules:
                if name in rule.types:
                    return rule.action
        return None


class Outbound(BodyTransform):
    """Of one answer. With an `ending`, a stream can be cut; an answer in JSON keeps its form, and its
    text ends before the value."""

    def __init__(self, kind: Kind, look: Look, ending: Ending | None = None) -> None:
        self._look = look
        self._ending = ending
        self._rewriting = Rewriting(kind, WindowEditor(look, REPEATS))
        self._arriving = Splitter()
        self._leaving = Splitter()
        self._begun_bytes = 0
        """Of the event, or the document, that is not all there."""
        self._work: Callable[[], bytes] | None = None
        """What is to be done in a thread."""
        self._done = b""
        self._has_finished = False
        self.over = self.waits = False

    def feed(self, chunk: bytes) -> bytes:
        done, self._done = self._done, b""
        return done + self._do(partial(self._look_through, chunk), chunk) if chunk else done

    def finish(self) -> bytes:
        done, self._done = self._done, b""
        if self._has_finished or self.over:
            return done
        self._has_finished = True
        return done + self._do(self._end, b"")

    async def wait(self) -> None:
        self.waits = False
        if self._work is not None:
            work, self._work = self._work, None
            self._done = await asyncio.to_thread(work)
            self._look.report()

    def _do(self, work: Callable[[], bytes], chunk: bytes) -> bytes:
        """Do it here, or have what would hold others up waited for. What was found is told before
        anything of it goes out."""
        length = self._begun_bytes + len(chunk)
        end = chunk.rfind(b"\n\n")
        self._begun_bytes = length if end < 0 else len(chunk) - end
        if length > LONG_BYTES:
            self._work, self.waits = work, True
            return b""
        out = work()
        self._look.report()
        return out

    def _look_through(self, chunk: bytes) -> bytes:
        if self._ending is None:
            return self._rewriting.feed(chunk)
        out: list[bytes] = []
        for event in self._arriving.feed(chunk):
            raw = self._rewriting.feed(event.raw)
            if self._look.is_cut:  # it ends otherwise than the engine said
                self.over = True
                raw = self._pass_on(FINISH.sub(b'"finish_reason":null', raw), self._ending)
                out += (raw, self._ending.close("outbound", by_rule=True))
                break
            out.append(self._pass_on(raw, self._ending))
        return b"".join(out)

    def _end(self) -> bytes:
        rest = b"".join(self._rewriting.feed(each.raw) for each in self._arriving.finish())
        return rest + self._rewriting.finish()

    def _pass_on(self, raw: bytes, ending: Ending) -> bytes:
        for event in self._leaving.feed(raw):
            document = parse(event.data)
            if document is not None:
                ending.note(document)
        return raw
