"""How each endpoint is found, several times a second: its metrics, and from time to time its health page.

One task and one connection for each endpoint, so that one that hangs delays nobody. What does not answer
is asked less often, until it does.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import random
from time import monotonic
from typing import Protocol

from engines.load import NOTHING, Load
from engines.rates import UNKNOWN, Rates
from engines.watch.http import Client, HttpError, TooLongError
from engines.watch.hub import AT_ONCE
from engines.watch.messages import Look
from engines.watch.pace import Pace
from engines.watch.sieve import Sieve

DEADLINE_S = 1.0
"""Of one answer. vLLM answers from the event loop that serves its API, which a long prompt can hold for
some hundred milliseconds."""
BACKOFF_S = 2.0
"""Longest pause before one that fails is asked again: it is noticed that soon when it is back."""
HEALTH_EVERY = 5
"""With every fifth look, once a second at full pace, the health page is read on a new connection. Metrics may
still be told by a server whose engine is dead, and on a connection that is open by one that takes no new
ones. It costs three times what metrics do."""
HEALTH_S = 1.0
"""How often those are asked that have nothing but a health page."""
LATE_S = 0.5
"""Beyond the deadline: when we notice a timeout that late, we had no time to read the answer."""
FIRST_S = 1.0
"""Over how long the first looks are spread: each opens connections, and 500 at once take that long."""
GATHER_S = 0.02
"""How long looks wait for others to be told together."""


class Learner(Protocol):
    """Makes rates of successive looks."""

    def look(self, load: Load, at_s: float) -> Rates: ...


class NoLearner:
    """Learns nothing."""

    def look(self, load: Load, at_s: float) -> Rates:  # noqa: ARG002 - the Protocol's own
        return UNKNOWN


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint, and how its kind is asked."""

    endpoint: str
    health_path: str
    metrics_path: str
    """Empty: there are none."""
    read: Callable[[bytes], Load]
    """Raises: ValueError when what it looks for is not there."""
    names: tuple[bytes, ...] = ()
    """The samples that `read` looks for; none: it gets the whole text."""


@dataclass(slots=True)
class Known:
    """What is remembered of one endpoint between two looks."""

    client: Client
    learner: Learner
    sieve: Sieve | None
    body: bytes = b""
    load: Load = NOTHING
    health_at_s: float = 0.0
    """When its health page is to be read next."""
    health: str = ""
    """What its health page says is wrong."""
    mute: str = ""
    """Why it tells no load; it may be well all the same."""
    failures: int = 0


@dataclass
class Scraper:
    """Looks at all targets. `run` does it, `aim` says which they are."""

    tell: Callable[[Sequence[Look]], None]
    pace: Pace = field(default_factory=Pace)
    learner: Callable[[], Learner] = NoLearner
    clock: Callable[[], float] = monotonic
    deadline_s: float = DEADLINE_S
    first_s: float = FIRST_S
    _targets: Mapping[str, Target] = field(default_factory=dict[str, Target], init=False)
    _running: dict[str, tuple[Target, asyncio.Task[None]]] = field(
        default_factory=dict[str, tuple[Target, asyncio.Task[None]]], init=False
    )
    _news: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _looks: list[Look] = field(default_factory=list[Look], init=False)

    def aim(self, targets: Sequence[Target]) -> None:
        """Say which there are. One that stays goes on undisturbed."""
        self._targets = {each.endpoint: each for each in targets}
        self._news.set()

    async def run(self) -> None:
        """Look for ever; cancel to stop."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for endpoint, (target, task) in [*self._running.items()]:
                    if self._targets.get(endpoint) != target:
                        task.cancel()
                        del self._running[endpoint]
                for endpoint, target in self._targets.items():
                    if endpoint not in self._running:
                        task = tasks.create_task(self._watch(target))
                        self._running[endpoint] = target, task
                self._news.clear()
                await self._news.wait()

    async def _watch(self, target: Target) -> None:
        sieve = Sieve(target.names) if target.names else None
        known = Known(Client(target.endpoint), self.learner(), sieve)
        # Not all at once, neither now nor later.
        await asyncio.sleep(random() * self.first_s)  # noqa: S311 - no secret
        try:
            while True:
                began_s = self.clock()
                look = await self._look(target, known, began_s)
                if look.fault != "timeout" or not self._is_late(began_s):
                    self._gather(look)
                await asyncio.sleep(self._pause_s(target, known, self.clock() - began_s))
        finally:
            known.client.close()

    def _is_late(self, began_s: float) -> bool:
        return self.clock() - began_s > self.deadline_s + LATE_S

    def _pause_s(self, target: Target, known: Known, took_s: float) -> float:
        if known.failures:
            doubled = self.pace.interval_s * 2.0 ** min(known.failures - 1, 8)
            return min(doubled, BACKOFF_S) * (0.75 + random() / 2)  # noqa: S311 - no secret
        told = target.metrics_path and not known.mute
        return max(0.0, (self.pace.interval_s if told else HEALTH_S) - took_s)

    async def _look(self, target: Target, known: Known, at_s: float) -> Look:
        try:
            async with asyncio.timeout(self.deadline_s):
                fault = await self._ask(target, known, at_s)
        except TimeoutError:
            fault = "timeout"
        except ConnectionRefusedError:
            fault = "refused"
        except (HttpError, OSError):
            fault = "broken"
        known.failures = known.failures + 1 if fault else 0
        if fault or known.mute:
            return Look(target.endpoint, at_s, fault or known.mute)
        return Look(target.endpoint, at_s, "", known.load, known.learner.look(known.load, at_s))

    async def _ask(self, target: Target, known: Known, at_s: float) -> str:
        """Read its metrics, and its health page when it is time or there are no metrics; return what
        is wrong with it."""
        known.mute = await self._read_metrics(target, known)
        if known.mute or at_s >= known.health_at_s:
            known.health_at_s = at_s + (HEALTH_EVERY - 0.5) * self.pace.interval_s
            answer = await known.client.knock(target.health_path)
            # Any other is an answer: it lives. Redirects are not followed: an engine must not choose
            # which inner addresses the gateway asks.
            known.health = "status" if answer.status >= 500 else ""
        return known.health

    async def _read_metrics(self, target: Target, known: Known) -> str:
        """Keep the load that it tells; return why there is none."""
        if not target.metrics_path:
            return "unreadable"
        try:
            answer = await known.client.get(target.metrics_path)
        except TooLongError:
            return "unreadable"
        if answer.status != 200:
            return "unreadable"
        if answer.body != known.body:
            text = known.sieve.sift(answer.body) if known.sieve else answer.body
            try:
                known.load, known.body = target.read(text), answer.body
            except ValueError:
                return "unreadable"
        return ""

    def _gather(self, look: Look) -> None:
        if not self._looks:
            asyncio.get_running_loop().call_later(GATHER_S, self._tell)
        self._looks.append(look)

    def _tell(self) -> None:
        looks, self._looks = self._looks, []
        looks = [look for look in looks if look.endpoint in self._targets]
        for start in range(0, len(looks), AT_ONCE):
            self.tell(looks[start : start + AT_ONCE])
