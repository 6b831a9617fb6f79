"""Keeps answers, behind the back of whoever gets them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from extproc.cache.answer import Answer, pack, read_answer
from extproc.cache.base import Answers, Entry
from extproc.cache.flights import Lead
from extproc.cache.streamed import read_stream
from extproc.cache.turn import Likeness, Sought
from extproc.errors import CountersFaultError, QuestionsFaultError
from extproc.ports import CacheMeter
from extproc.request import Kind
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

MOST_WAITING = 256
"""Answers yet to be kept. When the store is slower than engines are, some are not."""
LONG_BYTES = 32 * 1024
"""From here on an answer is read in a thread: 1 ms and more."""


@dataclass(frozen=True, slots=True)
class Whole:
    """One answer as it went by, and what is to become of it."""

    key: str
    kind: Kind
    stream: bool
    body: bytes
    ttl_s: int
    keep_s: int
    lead: Lead | None
    sought: Sought | None = None
    """The question, where alike ones are to find the answer too."""
    model: str = ""
    others: tuple[str, ...] = ()
    """Models that may have answered in its place, as engines call them."""

    def __repr__(self) -> str:
        return f"Whole({self.kind.value}, {len(self.body)} bytes)"


class Keeper:
    """`run` keeps what `put` is given."""

    def __init__(
        self,
        answers: Answers,
        meter: CacheMeter,
        likeness: Likeness | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._answers = answers
        self._meter = meter
        self.likeness = likeness
        self._clock = clock
        self._waiting: asyncio.Queue[Whole] = asyncio.Queue(MOST_WAITING)

    def put(self, whole: Whole) -> None:
        try:
            self._waiting.put_nowait(whole)
        except asyncio.QueueFull:
            self._meter.kept("dropped", 0, 0.0)

    async def run(self) -> None:
        """Keep until cancelled."""
        while True:
            await self._try(await self._waiting.get())

    async def _try(self, whole: Whole) -> None:
        """Keep one; whatever is wrong with it, the next one is kept."""
        try:
            await self.keep(whole)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the worker goes on
            log.error(Event.FILTER_FAULT, exc, filter="cache")
            if whole.lead is not None:
                whole.lead.land(None)

    async def keep(self, whole: Whole) -> None:
        """Keep one. Those who wait for it are told when it is there."""
        began_s = time.thread_time()
        if len(whole.body) < LONG_BYTES:
            answer = read(whole)
            spent_s = time.thread_time() - began_s
        else:
            answer, spent_s = await asyncio.to_thread(read_timed, whole)
        if answer is not None and whole.others and not is_by(answer, whole.model, whole.others):
            answer = None
        result, size = "unfit", 0
        now_ms = round(self._clock() * 1000)
        if answer is not None:
            result, size = await self._store(whole, answer, now_ms)
        self._meter.kept(result, size, spent_s)
        if whole.lead is not None:
            whole.lead.land(answer)
        if result == "kept":
            await self._make_findable(whole, now_ms)

    async def _store(self, whole: Whole, answer: Answer, now_ms: int) -> tuple[str, int]:
        try:
            entry = Entry(pack(answer), now_ms, now_ms + whole.ttl_s * 1000)
            evicted = await self._answers.put(whole.key, entry, whole.keep_s)
        except (UnicodeEncodeError, OverflowError):
            return "unfit", 0
        except CountersFaultError:
            return "fault", 0
        if evicted:
            self._meter.evicted(evicted)
        return "kept", entry.size

    async def _make_findable(self, whole: Whole, now_ms: int) -> None:
        """Let alike questions find it: last of all, for this may wait for a server."""
        if self.likeness is None or whole.sought is None:
            return
        try:
            await self.likeness.add(whole.sought, whole.key, now_ms + whole.ttl_s * 1000)
        except QuestionsFaultError:
            self._meter.looked("fault", "questions")


def read(whole: Whole) -> Answer | None:
    """Read an answer in either form: 10 us for each event of a stream."""
    if whole.stream:
        return read_stream(whole.kind, whole.body)
    try:
        document = msgspec.json.decode(whole.body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return read_answer(whole.kind, document)


def is_by(answer: Answer, model: str, others: Sequence[str]) -> bool:
    """Whether a model has given an answer, and none of the others: by what it says itself. Services
    elsewhere say which version of a model it was, `gpt-4o-2024-08-06`."""
    told = answer.head.get("model")
    names = [each for each in (model, *others) if isinstance(told, str) and told.startswith(each)]
    return max(names, key=len, default=None) == model


def read_timed(whole: Whole) -> tuple[Answer | None, float]:
    began_s = time.thread_time()
    return read(whole), time.thread_time() - began_s
