"""One run of load: what is sent when, and between which moments answers count."""

import asyncio
import gc
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

from bench.connection import Connection, LoadError
from bench.procfs import cpu_s
from bench.sample import Sample

HANG_S = 60.0
"""Longest wait for what is still open when measuring is over."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to do; the flags of `load.py`."""

    mode: str
    port: int
    connections: int
    warmup_s: float
    seconds: float
    requests: int
    """Closed: measure until so many answers have come; 0 goes by `seconds`."""
    rate: float
    pids: Mapping[str, int]


class Window:
    """Between its ends, answers count."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = {**pids, "load": os.getpid()}
        self._latencies_us: list[int] = []
        self._errors = 0
        self._cpu_s: dict[str, float] = {}
        self._begun = self._ended = 0.0
        self.is_open = False

    def open(self) -> None:
        self._cpu_s = cpu_s(self._pids)
        self._begun = perf_counter()
        self.is_open = True

    def note(self, latency_s: float, status: int) -> None:
        self._latencies_us.append(int(latency_s * 1e6))
        if status != 200:
            self._errors += 1

    def close(self) -> None:
        self.is_open = False
        self._ended = perf_counter()
        now_s = cpu_s(self._pids)
        self._cpu_s = {name: now_s[name] - begun_s for name, begun_s in self._cpu_s.items()}

    def sample(self, events: int = 0, reads: int = 0) -> Sample:
        return Sample(
            requests=len(self._latencies_us),
            errors=self._errors,
            seconds=self._ended - self._begun,
            latencies_us=self._latencies_us,
            cpu_s=self._cpu_s,
            events=events,
            reads=reads,
        )


class Generator:
    """One run. The modes differ in what an answer is followed by."""

    def __init__(self, load: Load, request: bytes) -> None:
        self._load = load
        self._request = request
        self._window = Window(load.pids)
        self._open: list[Connection] = []
        self._busy = 0
        self._stopping = False
        self._answers = 0
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._measured_from = float("inf")

    async def run(self) -> Sample:
        """Raises: LoadError, OSError."""
        modes: dict[str, tuple[Callable[[], Awaitable[Sample]], Callable[[Connection], None]]] = {
            "closed": (self._closed, self._ask_again),
            "open": (self._open_loop, self._ask_due),
            "stream": (self._stream, self._count),
            "idle": (self._wait, self._count),
        }
        drive, answered = modes[self._load.mode]
        loop = asyncio.get_running_loop()
        for _ in range(self._load.connections):
            _, connection = await loop.create_connection(
                lambda: Connection(self._request, answered), "127.0.0.1", self._load.port
            )
            self._open.append(connection)
        gc.disable()
        try:
            return await drive()
        finally:
            gc.enable()
            for connection in self._open:
                connection.close()

    # ---- closed ---------------------------------------------------------------------------------

    async def _closed(self) -> Sample:
        self._busy = len(self._open)
        for connection in self._open:
            connection.ask(perf_counter())
        await self._sleep(self._load.warmup_s)
        self._window.open()
        if self._load.requests:
            await self._until(lambda: self._answers >= self._load.requests, float("inf"))
        else:
            await self._sleep(self._load.seconds)
        self._window.close()
        self._stopping = True
        await self._until(lambda: self._busy == 0)
        return self._window.sample()

    def _ask_again(self, connection: Connection) -> None:
        now = perf_counter()
        if self._window.is_open:
            self._window.note(now - connection.asked_at, connection.reader.status)
            self._answers += 1
        if self._stopping:
            self._busy -= 1
        else:
            connection.ask(now)

    # ---- open -----------------------------------------------------------------------------------

    async def _open_loop(self) -> Sample:
        load = self._load
        self._idle.extend(self._open)
        begun = perf_counter()
        warmups = int(load.warmup_s * load.rate)
        total = warmups + int(load.seconds * load.rate)
        for turn in range(total):
            due = begun + turn / load.rate
            await self._sleep(due - perf_counter())
            if turn == warmups:
                self._window.open()
                self._measured_from = due
            self._busy += 1
            if self._idle:
                self._idle.popleft().ask(due)
            else:
                self._due.append(due)
        await self._until(lambda: self._busy == 0)
        self._window.close()
        return self._window.sample()

    def _ask_due(self, connection: Connection) -> None:
        if connection.asked_at >= self._measured_from:
            self._window.note(perf_counter() - connection.asked_at, connection.reader.status)
        self._busy -= 1
        if self._due:
            connection.ask(self._due.popleft())
        else:
            self._idle.append(connection)

    # ---- stream, idle -----------------------------------------------------------------------------

    async def _stream(self) -> Sample:
        for connection in self._open:
            connection.ask(perf_counter())
        await self._until(lambda: all(each.reader.events for each in self._open))
        await self._sleep(self._load.warmup_s)
        events, reads = self._streamed()
        self._window.open()
        await self._sleep(self._load.seconds)
        self._window.close()
        if self._answers:
            raise LoadError("a stream ended before measuring was over: ask for longer ones")
        all_events, all_reads = self._streamed()
        await self._until(lambda: self._answers == len(self._open))
        if any(each.reader.status != 200 for each in self._open):
            raise LoadError("a stream was refused")
        return self._window.sample(all_events - events, all_reads - reads)

    def _streamed(self) -> tuple[int, int]:
        events = sum(each.reader.events for each in self._open)
        return events, sum(each.reads for each in self._open)

    def _count(self, _: Connection) -> None:
        self._answers += 1

    async def _wait(self) -> Sample:
        self._window.open()
        await self._sleep(self._load.seconds)
        self._window.close()
        return self._window.sample()

    # ---- waiting ----------------------------------------------------------------------------------

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))
        self._check()

    async def _until(self, true: Callable[[], bool], limit_s: float = HANG_S) -> None:
        until = perf_counter() + limit_s
        while not true():
            self._check()
            if perf_counter() > until:
                raise LoadError(f"answers are missing after {limit_s:.0f} s")
            await asyncio.sleep(0.002)

    def _check(self) -> None:
        for connection in self._open:
            if connection.fault is not None:
                raise LoadError(str(connection.fault)) from connection.fault
