"""Pools that are served elsewhere have no endpoints to pick from: the service is the one there is."""

from collections.abc import Mapping
from typing import ClassVar

from extproc.decision import Decision
from extproc.filter import Filter
from extproc.request import Fact, Model, Request, Route


class Elsewhere(Filter):
    """`services` names what serves each of these pools, `host:port`. It stands before `pick`, which
    leaves alone what has a route."""

    name: ClassVar[str] = "elsewhere"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Model})

    def __init__(self, services: Mapping[str, str]) -> None:
        self._services = services

    async def decide(self, request: Request) -> Decision:
        service = self._services.get(request.fact(Model).pool)
        return request.having(Route((service,))) if service else request
