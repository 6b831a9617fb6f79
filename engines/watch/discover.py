"""Finds the endpoints of every pool, and goes on looking: named by the policy, by DNS, by Kubernetes."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Final

from engines.watch.config import Dns, Kubernetes, Pool
from engines.watch.dns import follow_dns
from engines.watch.kubernetes import follow_kubernetes
from engines.watch.messages import Role
from engines.watch.roster import Found, Roster, Source

ROLES: Final[tuple[Role, ...]] = ("both", "prefill", "decode")


@dataclass
class Discovery:
    """Keeps the roster. `run` follows what changes by itself, `aim` says where to look."""

    roster: Roster
    changed: Callable[[], None]
    clock: Callable[[], float] = monotonic
    _pools: Sequence[Pool] = ()
    _news: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _running: dict[Source, tuple[Dns | Kubernetes, asyncio.Task[None]]] = field(
        default_factory=dict[Source, tuple[Dns | Kubernetes, asyncio.Task[None]]], init=False
    )

    def aim(self, pools: Sequence[Pool]) -> None:
        """Take what the policy names; a source that stays goes on undisturbed."""
        self._pools = pools
        sources = [*self._sources()]
        static = [(pool.name, role) for pool in pools for role in ROLES]
        self.roster.keep([pool.name for pool in pools], [*static, *sources])
        now_s = self.clock()
        for pool in pools:
            for role in ROLES:
                found: Found = {s.endpoint: "ready" for s in pool.static if s.role == role}
                self.roster.hear((pool.name, role), found, role, now_s)
        self._news.set()

    def _sources(self) -> dict[Source, Dns | Kubernetes]:
        found: dict[Source, Dns | Kubernetes] = {}
        for pool in self._pools:
            found |= {(pool.name, f"dns {n}"): each for n, each in enumerate(pool.dns)}
            found |= {
                (pool.name, f"kubernetes {n}"): each for n, each in enumerate(pool.kubernetes)
            }
        return found

    async def run(self) -> None:
        """Look for ever; cancel to stop."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                wanted = self._sources()
                for source, (named, task) in [*self._running.items()]:
                    if wanted.get(source) != named:
                        task.cancel()
                        del self._running[source]
                for source, named in wanted.items():
                    if source not in self._running:
                        hear = partial(self._hear, source, named.role)
                        self._running[source] = named, tasks.create_task(follow(named, hear))
                self._news.clear()
                await self._news.wait()

    def _hear(self, source: Source, role: Role, found: Found) -> None:
        if self.roster.hear(source, found, role, self.clock()):
            self.changed()


async def follow(named: Dns | Kubernetes, hear: Callable[[Found], None]) -> None:
    if isinstance(named, Dns):
        await follow_dns(named, hear)
    else:
        await follow_kubernetes(named, hear)
