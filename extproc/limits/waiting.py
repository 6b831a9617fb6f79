"""Waiting for room: the requests of one worker that stand in lines before limits.

The counters know the order, which is the same for all workers (`queue.py`), and call whose turn it is. Whoever
is called reserves again; where that fails it goes on waiting. As calls may be lost, and as time makes
room without a call, everybody also asks again from time to time, a few at once, which tells the counters
that this worker lives.

Nothing runs here while nobody waits.
"""

import asyncio
import contextlib
from collections import deque
from typing import Literal, Protocol

import msgspec

from extproc.errors import CountersFaultError
from extproc.limits.base import (
    Charge,
    Counters,
    Place,
    Ticket,
    Verdict,
    find_places,
)
from extproc.limits.patience import patience_s, time_s

MOST = 1000
"""Requests that wait in one worker. Each is a stream of Envoy's with its body held here; more would not
be served within the half minute that one may wait."""
MOST_BYTES = 64 * 1024 * 1024
"""Of their bodies: half of what a worker may hold (`budget.py`), so that others find room."""
BEAT_S = 0.2
"""Between two rounds of asking again. The counters take a worker for dead after five of them."""
A_FEW = 20
"""Ask again in one round, those first who have not for longest: a hundred calls a second at most."""

Why = Literal["late", "full", "expired", "gone", "draining"]
"""Why somebody does not wait, or not any longer: it would take too long, too many wait, it took too
long, the client left, the worker stops."""


class QueueMeter(Protocol):
    """Numbers about waiting, by class."""

    def waiting(self, priority: str, count: int) -> None:
        """Note how many wait now."""
        ...

    def waited(self, priority: str, seconds: float) -> None:
        """Note that one waited so long, and was served."""
        ...

    def shed(self, priority: str, why: Why) -> None:
        """Count one that is not served."""
        ...


class Asked(msgspec.Struct, frozen=True):
    """What a request wants that waits."""

    settle_key: str
    charges: tuple[Charge, ...]
    lease_s: float
    ticket: Ticket
    client_s: float
    """How long its client has patience; infinite when it did not say."""
    held_bytes: int


class Turn(msgspec.Struct, frozen=True):
    """How waiting ended. Without `why` as the verdict says."""

    verdict: Verdict
    waited_s: float
    why: Why | None = None


class Waiter:
    """One request that waits."""

    def __init__(self, asked: Asked, begun_s: float) -> None:
        self.asked = asked
        self.begun_s = begun_s
        self.due_s = begun_s + asked.client_s
        self.called = asyncio.Event()

    def bear(self, verdict: Verdict) -> None:
        """No limit is waited for longer than it allows."""
        self.due_s = min(self.due_s, self.begun_s + patience_s(verdict))


class Waiting:
    """All of one worker's; outlives policies."""

    def __init__(
        self, counters: Counters, meter: QueueMeter, worker: str, most: int = MOST
    ) -> None:
        """`worker` is a name that no other worker has, or had."""
        self.worker = worker
        self._counters = counters
        self._meter = meter
        self._most = most
        self._waiters: dict[str, Waiter] = {}
        """By settle key; those that asked last stand last."""
        self._lengths: dict[str, int] = {}
        self._held_bytes = 0
        self._leaving: deque[Place] = deque()
        self._degraded = ""
        self._work = asyncio.Event()
        self._closed = False
        counters.listen(self._call)

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def refuses(self, asked: Asked, verdict: Verdict) -> Why | None:
        """Say why a request that was refused had better not wait, if so."""
        why = self._judge(asked, verdict)
        if why:
            self._meter.shed(asked.ticket.priority, why)
        return why

    def _judge(self, asked: Asked, verdict: Verdict) -> Why | None:
        most_s = min(patience_s(verdict), asked.client_s)
        if verdict.retry_after_s is None or verdict.retry_after_s > most_s:
            return "late"
        if len(self._waiters) >= self._most or self._held_bytes + asked.held_bytes > MOST_BYTES:
            return "full"
        return "draining" if self._closed else None

    async def wait(self, asked: Asked, verdict: Verdict) -> Turn:
        """Stand in line until there is room, or it takes too long. `verdict` is what the request was
        refused by. Being cancelled means that the client is gone."""
        waiter = Waiter(asked, now_s())
        waiter.bear(verdict)
        self._enter(waiter)
        try:
            turn = await self._stand(waiter)
        except BaseException:
            self._leave(waiter, None)
            raise
        self._leave(waiter, turn)
        return turn

    async def _stand(self, waiter: Waiter) -> Turn:
        asked = waiter.asked
        while True:
            waiter.called.clear()
            verdict = await self._ask(asked, asked.ticket)
            waited_s = now_s() - waiter.begun_s
            if not verdict.waits:
                return Turn(verdict, waited_s)
            if self._closed:
                return Turn(verdict, waited_s, "draining")
            waiter.bear(verdict)
            self._note_fault(verdict)
            if not await self._until_called(waiter, verdict):
                break
        # The last word says how long it would take now.
        verdict = await self._ask(asked, msgspec.structs.replace(asked.ticket, joins=False))
        return Turn(verdict, now_s() - waiter.begun_s, None if verdict.admitted else "expired")

    async def _ask(self, asked: Asked, ticket: Ticket) -> Verdict:
        return await self._counters.reserve(
            asked.settle_key, asked.charges, asked.lease_s, ticket=ticket
        )

    async def _until_called(self, waiter: Waiter, verdict: Verdict) -> bool:
        """Wait until there may be room; False when it is too late for that."""
        again_s = min(waiter.due_s, now_s() + time_s(verdict))
        try:
            async with asyncio.timeout_at(again_s):
                await waiter.called.wait()
        except TimeoutError:
            return now_s() < waiter.due_s
        return True

    def _enter(self, waiter: Waiter) -> None:
        self._waiters[waiter.asked.settle_key] = waiter
        self._held_bytes += waiter.asked.held_bytes
        self._count(waiter, 1)
        self._work.set()

    def _leave(self, waiter: Waiter, turn: Turn | None) -> None:
        asked = waiter.asked
        del self._waiters[asked.settle_key]
        self._held_bytes -= asked.held_bytes
        self._count(waiter, -1)
        if turn is None or not turn.verdict.admitted:
            self._leaving += find_places(asked.settle_key, asked.charges, asked.ticket)
            self._work.set()
        if turn is None:
            self._meter.shed(asked.ticket.priority, "gone")
        elif turn.verdict.admitted:
            self._meter.waited(asked.ticket.priority, turn.waited_s)
        elif turn.why:
            self._meter.shed(asked.ticket.priority, turn.why)

    def _count(self, waiter: Waiter, change: int) -> None:
        priority = waiter.asked.ticket.priority
        count = self._lengths[priority] = self._lengths.get(priority, 0) + change
        self._meter.waiting(priority, count)

    def _note_fault(self, verdict: Verdict) -> None:
        """When other counters answer than before, everybody is to stand in their lines."""
        if verdict.degraded != self._degraded:
            self._degraded = verdict.degraded
            self._ask_again(len(self._waiters))

    def _call(self, place: Place) -> None:
        waiter = self._waiters.get(place.settle_key)
        if waiter:
            waiter.called.set()
        elif place.worker == self.worker:  # it has gone, and the counters do not know
            self._leaving.append(place)
            self._work.set()

    async def run(self) -> None:
        """Ask again from time to time, and leave where nobody stands any more, until cancelled."""
        asked_s = now_s()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S if self._waiters else None):
                    await self._work.wait()
            self._work.clear()
            await self._give_up()
            if now_s() >= asked_s + BEAT_S:
                asked_s = now_s()
                self._ask_again(A_FEW)

    def close(self) -> None:
        """Let nobody wait any more: the worker stops."""
        self._closed = True
        self._ask_again(len(self._waiters))

    async def _give_up(self) -> None:
        while self._leaving:
            places = [self._leaving.popleft() for _ in range(min(len(self._leaving), 100))]
            with contextlib.suppress(CountersFaultError):  # it is called in vain, and leaves then
                await self._counters.leave(places)

    def _ask_again(self, most: int) -> None:
        for settle_key in list(self._waiters)[:most]:
            waiter = self._waiters.pop(settle_key)
            self._waiters[settle_key] = waiter
            waiter.called.set()


def now_s() -> float:
    return asyncio.get_running_loop().time()
