"""Which endpoint: in turn among the healthy ones, the next ones in line for Envoy's retries."""

from collections.abc import Mapping, Sequence
from itertools import count
from random import randrange
from typing import ClassVar

from extproc.decision import Decision, Deny, Outcome
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.ports import EngineView
from extproc.request import Fact, Model, Request, Route

TRIES = 4
"""Longest list given to Envoy: a first try, and one for each of the three retries that `dataplane`
configures."""

RETRY_AFTER_S = 2
"""An engine process is probed every second; two let one probe pass."""


def rotate(endpoints: Sequence[str], turn: int) -> tuple[str, ...]:
    """Begin at `turn`, keep the order, take at most `TRIES`."""
    start = turn % len(endpoints)
    return tuple((*endpoints[start:], *endpoints[:start])[:TRIES])


class Pick(Filter):
    """`pools` are the endpoints of each pool, `ip:port`."""

    name: ClassVar[str] = "pick"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Model})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Route})

    def __init__(self, pools: Mapping[str, Sequence[str]], view: EngineView) -> None:
        self._pools = pools
        self._view = view
        # Workers begin at different places: after a reload they would all fall on the first engine.
        self._turns = {
            name: count(randrange(len(endpoints)))  # noqa: S311 - no secret
            for name, endpoints in pools.items()
        }

    async def decide(self, request: Request) -> Decision:
        pool = request.fact(Model).pool
        healthy = self._view.healthy(self._pools[pool])
        if not healthy:
            message = "No engine can take this request at the moment."
            return Deny(Reason.NO_ENDPOINT, message, retry_after_s=RETRY_AFTER_S)
        return request.having(Route(rotate(healthy, next(self._turns[pool]))))

    async def settle(self, outcome: Outcome) -> None:
        """Learn from attempts that got no answer, before the next probe does."""
        for endpoint in outcome.failed:
            self._view.suspect(endpoint)
