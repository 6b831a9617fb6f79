"""How Envoy's pools and routes change over from those of one policy to those of the next, step by step.

Envoy follows two files and tells when it has read them well. A change may be refused, or take too long, after any
step: what Envoy has then nobody knows for sure, so nothing is taken for granted before Envoy has said it, and the next
change, also one that goes back, begins with what is certain.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dataplane.gateway import ConfigError, Gateway, Pool
from dataplane.render import clusters, render, routes, write
from dataplane.validate import check_envoy, check_types
from extproc.cli.admin import Taken


class Changeover:
    """What Envoy has of pools and routes."""

    def __init__(self, begun: Gateway, taken: Taken, bootstrap: Path, envoy: Path) -> None:
        """`begun` is what Envoy begins with, `bootstrap` its own file, `envoy` its binary."""
        self.served = begun
        """What it serves for sure."""
        self.moving: frozenset[str] = frozenset()
        """Pools that lead to where they did, or where they are to: nobody knows which."""
        self._taken = taken
        self._bootstrap = bootstrap
        self._envoy = envoy
        self._pools, self._routes = clusters(begun), routes(begun)
        """As it has read them; empty while nobody knows."""

    def is_at(self, wanted: Gateway) -> bool:
        return self._pools == clusters(wanted) and self._routes == routes(wanted)

    async def check(self, gateway: Gateway) -> None:
        """Let Envoy read all of it in one file, which is how it can be checked. Raises: ConfigError."""
        whole = self._bootstrap.with_name("whole.yaml")
        text = render(gateway)
        check_types(text)
        write(text, whole)
        await asyncio.to_thread(check_envoy, whole, self._envoy)

    async def go(self, wanted: Gateway) -> None:
        """Make it so. There is never a route to a pool that is not there, and a pool that moves does so when all else
        is ready: who has chosen it last was told of the place before. Raises: ConfigError, OSError."""
        check_sides(self.served, wanted)
        await self.check(wanted)
        before = places(self.served.pools)
        moved = {
            name for name, place in places(wanted.pools).items() if before.get(name, place) != place
        }
        await self._read_pools(replace(wanted, pools=joint(wanted.pools, self.served.pools)))
        await self._read_routes(wanted)
        self.moving |= moved
        await self._read_pools(replace(wanted, pools=joint(self.served.pools, wanted.pools)))
        self.served, self.moving = wanted, frozenset()
        await self._read_pools(wanted)

    async def _read_pools(self, gateway: Gateway) -> None:
        text = clusters(gateway)
        if text != self._pools:
            self._pools = ""
            await self._taken.pools_after(writing(text, gateway.files.clusters))
            self._pools = text

    async def _read_routes(self, gateway: Gateway) -> None:
        text = routes(gateway)
        if text != self._routes:
            self._routes = ""
            await self._taken.routes_after(writing(text, gateway.files.routes))
            self._routes = text


def writing(text: str, path: Path) -> Callable[[], None]:
    return lambda: write(text, path)


def check_sides(before: Gateway, now: Gateway) -> None:
    """See that no pool of ours becomes one elsewhere under its name. Workers change over one by one, and what some of
    them send to engines of ours was not looked through for others. Raises: ConfigError."""
    elsewhere = {pool.name: pool.upstream is not None for pool in before.pools}
    for pool in now.pools:
        if elsewhere.get(pool.name, pool.upstream is not None) != (pool.upstream is not None):
            raise ConfigError(
                f"pool {pool.name!r} changes between engines and a service elsewhere:"
                " give it another name, or restart"
            )


def joint(before: Sequence[Pool], now: Sequence[Pool]) -> tuple[Pool, ...]:
    """All pools of both, as they are now where they still are."""
    names = {pool.name for pool in now}
    return (*now, *(pool for pool in before if pool.name not in names))


def places(pools: Sequence[Pool]) -> dict[str, str]:
    """Where each leads, by name; empty for engines of ours."""
    return {pool.name: str(pool.upstream or "") for pool in pools}
