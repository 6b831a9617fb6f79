"""A core in real time: a timer per step, and everybody who waits for that step's token."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from engines.sim.core import Core
from engines.sim.events import Done, Event, First
from engines.sim.sequence import Job, Key

# The shortest wait of uvloop's timers; a shorter one fires at once, before the step is over.
_SHORTEST_WAIT_S = 0.001


class Ticket:
    """One request's place in the batch, with one job per choice. It is the request's pace."""

    def __init__(self, steps: Mapping[Key, int], on_first: Callable[[int, int], None]) -> None:
        self.keys = tuple(steps)
        self.on_first = on_first
        """Told which choice has its first token, and how many tokens of its prompt were cached."""
        self._done = dict.fromkeys(steps, False)
        self._steps = steps
        self._reached = 0
        self._waiter: asyncio.Future[None] | None = None

    def is_due(self, step: int) -> bool:
        return step < self._reached

    async def until(self, step: int) -> None:
        while step >= self._reached:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def ended(self, key: Key) -> None:
        self._done[key] = True

    def follow(self, tokens: Callable[[Key], int]) -> None:
        """See how far all choices have come: a step is done when the last one has done it."""
        left = [tokens(key) for key, is_done in self._done.items() if not is_done]
        reached = min(left, default=max(self._steps.values()))
        if reached == self._reached:
            return
        self._reached = reached
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Driver:
    """Runs a core along the clock."""

    def __init__(self, core: Core, clock: Callable[[], float] = time.monotonic) -> None:
        self.core = core
        self.on_step: Callable[[], None] = lambda: None
        """Called after each step, when streams know of it."""
        self._clock = clock
        self._tickets: dict[Key, Ticket] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, jobs: Sequence[Job], on_first: Callable[[int, int], None]) -> Ticket:
        """Queue a request. Raises ValueError for one that never fits; then nothing was queued."""
        ticket = Ticket({job.key: job.output_tokens for job in jobs}, on_first)
        now_s, added = self._clock(), list[Key]()
        for job in jobs:
            try:
                self.core.add(job, now_s)
            except ValueError:
                for key in added:
                    self.core.abort(key, now_s)
                raise
            added.append(job.key)
        self._tickets.update(dict.fromkeys(ticket.keys, ticket))
        self._catch_up(now_s)
        return ticket

    def stop(self, ticket: Ticket) -> None:
        """Leave, at whatever stage."""
        now_s = self._clock()
        for key in ticket.keys:
            if self._tickets.pop(key, None) is not None:
                self.core.abort(key, now_s)
        self._catch_up(now_s)

    def stall(self, until_s: float) -> None:
        self.core.stall(until_s, self._clock())
        self._set_timer()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _catch_up(self, now_s: float) -> None:
        """Someone came or left: the others are told with the next step, unless something ended."""
        if events := self.core.run_to(now_s):
            self._follow(events)
        else:
            self.on_step()
            self._set_timer()

    def _tick(self) -> None:
        self._timer = None
        self._follow(self.core.run_to(self._clock()))

    def _follow(self, events: Sequence[Event]) -> None:
        tickets, tokens = self._tickets, self.core.tokens
        ended: list[Ticket] = []
        for event in events:
            ticket = tickets.get(event.key)
            if ticket is None:
                continue
            match event:
                case First():
                    ticket.on_first(ticket.keys.index(event.key), event.cached_tokens)
                case Done():
                    ticket.ended(event.key)
                    del tickets[event.key]
                    ended.append(ticket)
                case _:
                    pass
        for ticket in tickets.values():
            ticket.follow(tokens)
        for ticket in ended:
            ticket.follow(tokens)
        self.on_step()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = self.core.next_step_s()
        if due_s < float("inf"):
            wait_s = max(due_s - self._clock(), _SHORTEST_WAIT_S)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)
