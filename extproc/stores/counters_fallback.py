"""What happens while shared counters cannot be reached: each limit says it itself (`on_fault`).

    local   this process counts alone, against its share: the amount divided by the replicas
    deny    nothing passes
    open    everything passes, and is counted afterwards

Every process begins an outage with its whole share, so around its beginning up to twice the limit may
pass. What was admitted meanwhile is sent when the counters are back, and so are settlements: then they
hold what has really been used. What was sent and not answered may have been done; it is sent again
under the same key, which makes it count once.

Lines before limits are then each worker's own. Who stands in one asks again from time to time, and so
gets into those of the others when the counters are back, behind whoever came there sooner.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from extproc.errors import CountersFaultError
from extproc.limits.backlog import Backlog, Missed
from extproc.limits.base import (
    Charge,
    Counters,
    Limit,
    Place,
    Settlement,
    Spent,
    Standing,
    Ticket,
    Verdict,
    find_places,
)
from extproc.limits.breaker import Breaker
from extproc.limits.degraded import Alone
from extproc.stores.counters_memory import MemoryCounters
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

PROBE_S = 0.5
"""Between two tries while nothing answers."""
Told = Callable[[str, Settlement], object]
Begun = Callable[[CountersFaultError], object]


class LocalFallback:
    """Implements `Counters`, over `shared` as long as it answers. Made by `fall_back`."""

    def __init__(
        self,
        shared: Counters,
        local: MemoryCounters,
        replicas: int,
        told: Told = lambda _key, _settlement: None,
        probe_s: float = PROBE_S,
        begun: Begun = lambda _fault: None,
    ) -> None:
        """`replicas` share each limit. `told` hears of what is settled only later: the key, and what
        it did. `begun` hears once of each outage."""
        self._shared = shared
        self._local = local
        self._alone = Alone(local, replicas)
        self._told = told
        self._begun = begun
        self._probe_s = probe_s
        self._breaker = Breaker()
        self._work = asyncio.Event()
        self._backlog = Backlog(self._work.set)

    @property
    def down(self) -> bool:
        return self._breaker.open

    @property
    def missed(self) -> int:
        """How many calls wait until the counters are back."""
        return len(self._backlog.calls)

    @property
    def dropped(self) -> int:
        """How many they will never hear of."""
        return self._backlog.dropped

    async def reserve(
        self,
        settle_key: str,
        charges: Sequence[Charge],
        lease_s: float,
        *,
        late: bool = False,
        ticket: Ticket | None = None,
    ) -> Verdict:
        tried = not self._breaker.open
        if tried:
            self._backlog.take_back(settle_key)
            try:
                verdict = await self._shared.reserve(
                    settle_key, charges, lease_s, late=late, ticket=ticket
                )
            except CountersFaultError as exc:
                self._note_fault(exc)
            except asyncio.CancelledError:
                # Whoever asked has gone, and nobody else settles it.
                self._backlog.add(Missed(settle_key))
                raise
            else:
                self._note_answer()
                if ticket and self._local.waiting:  # it may have stood in line here meanwhile
                    await self._local.leave(find_places(settle_key, charges, ticket))
                return verdict
        verdict = await self._alone.reserve(settle_key, charges, lease_s, late, ticket)
        if verdict.admitted:
            self._backlog.add(Missed(settle_key, tuple(charges), lease_s))
        elif tried:
            self._backlog.add(Missed(settle_key, forget=True))
        return verdict

    async def leave(self, places: Sequence[Place]) -> None:
        await self._local.leave(places)
        if self._breaker.open:
            return
        try:
            await self._shared.leave(places)
        except CountersFaultError as exc:
            self._note_fault(exc)  # it is called in vain once, and leaves then

    def listen(self, hear: Callable[[Place], object]) -> None:
        self._local.listen(hear)
        self._shared.listen(hear)

    async def settle(
        self, settle_key: str, spent: Spent | None, *, forget: bool = False
    ) -> Settlement:
        if self._local.holds(settle_key):
            await self._local.settle(settle_key, spent, forget=forget)
        if not self._breaker.open:
            try:
                settlement = await self._shared.settle(settle_key, spent, forget=forget)
            except CountersFaultError as exc:
                self._note_fault(exc)
            except asyncio.CancelledError:
                self._backlog.add(Missed(settle_key, spent=spent))
                raise
            else:
                self._note_answer()
                return settlement
        self._backlog.add(Missed(settle_key, spent=spent))
        return Settlement("queued")

    async def renew(self, settle_key: str, lease_s: float) -> bool:
        kept = await self._local.renew(settle_key, lease_s)
        if self._breaker.open:
            return kept
        try:
            return await self._shared.renew(settle_key, lease_s) or kept
        except CountersFaultError as exc:
            self._note_fault(exc)
            return kept

    async def look(self, pairs: Sequence[tuple[Limit, str]]) -> tuple[Standing, ...]:
        return await self._shared.look(pairs)

    async def scopes(self, name: str) -> list[str]:
        return await self._shared.scopes(name)

    async def reset(self, name: str, scope: str) -> bool:
        await self._local.reset(name, scope)
        return await self._shared.reset(name, scope)

    async def probe(self) -> None:
        await self._shared.probe()

    async def run(self) -> None:
        """Try again while nothing answers, and send what was missed, until cancelled."""
        while True:
            if self._breaker.open:
                await asyncio.sleep(self._probe_s)
                await self._probe()
            elif missed := self._backlog.take():
                await self._send(missed)
            else:
                self._work.clear()
                await self._work.wait()

    def _note_fault(self, fault: CountersFaultError) -> None:
        if self._breaker.fault():
            log.warning(Event.COUNTERS_DOWN, reason=str(fault))
            self._begun(fault)
            self._work.set()

    def _note_answer(self) -> None:
        if self._breaker.well():
            log.warning(Event.COUNTERS_BACK, missed=self.missed)

    async def _probe(self) -> None:
        try:
            await self._shared.probe()
        except CountersFaultError as exc:
            self._note_fault(exc)
        else:
            self._note_answer()

    async def _send(self, missed: Missed) -> None:
        settlement: Settlement | None
        try:
            if missed.charges is None:
                settlement = await self._shared.settle(
                    missed.settle_key, missed.spent, forget=missed.forget
                )
            else:
                verdict = await self._shared.reserve(
                    missed.settle_key, missed.charges, missed.lease_s, late=True
                )
                settlement = verdict.settlement
        except CountersFaultError as exc:
            if not self._backlog.put_back(missed):
                log.error(Event.SETTLE_FAULT, exc, filter="limits", settle_key=missed.settle_key)
            self._note_fault(exc)
        except ValueError as exc:  # what passes uncounted is looked at only here
            self._backlog.give_up(missed)
            log.error(Event.SETTLE_FAULT, exc, filter="limits", settle_key=missed.settle_key)
        else:
            self._backlog.done(missed)
            self._note_answer()
            if settlement is not None and settlement.state == "settled":
                self._told(missed.settle_key, settlement)


@asynccontextmanager
async def fall_back(
    shared: Counters,
    local: MemoryCounters,
    replicas: int,
    told: Told = lambda _key, _settlement: None,
    probe_s: float = PROBE_S,
    begun: Begun = lambda _fault: None,
) -> AsyncGenerator[LocalFallback]:
    """Have counters that always answer, for the time of the block."""
    fault: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        counters = LocalFallback(shared, local, replicas, told, probe_s, begun)
        running = group.create_task(counters.run())
        try:
            yield counters
        except BaseException as exc:  # noqa: BLE001 - raised below: the group would wrap it in another
            fault = exc
        running.cancel()
    if fault:
        raise fault
