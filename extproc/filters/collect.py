"""Keeps a copy of the answers that the cache has missed, as engines have sent them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import ClassVar

import msgspec

from extproc.cache.fill import STREAM_FACTOR, Fill
from extproc.cache.flights import Lead
from extproc.cache.keeper import Keeper, Whole
from extproc.cache.rules import CacheRule
from extproc.cache.turn import Sought
from extproc.decision import Decision
from extproc.filter import BodyTransform, Filter
from extproc.request import Fact, Model, Operation, Prompt, Request, Scalar, Tries


class Filling(msgspec.Struct, frozen=True):
    """How an answer is to be kept."""

    key: str
    rule: CacheRule
    lead: Lead | None = None
    sought: Sought | None = None


class Looked(Fact, frozen=True):
    """What the cache had to say; established for requests that a rule is for."""

    said: str
    """What stands in `x-headgate-cache`."""
    filling: Filling | None = None

    def witness(self) -> Mapping[str, Scalar]:
        return {"cache": self.said}


class Collect(Filter):
    """Before all that rewrites answers: what is kept is what engines have sent."""

    name: ClassVar[str] = "collect"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Prompt, Model})

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def decide(self, request: Request) -> Decision:
        return request

    def transform(self, request: Request) -> BodyTransform | None:
        looked = request.find(Looked)
        if looked is None or looked.filling is None:
            return None
        most_bytes = looked.filling.rule.most_bytes
        most_bytes *= STREAM_FACTOR if request.fact(Prompt).stream else 1
        return Fill(most_bytes, partial(self._keep, begin_whole(request, looked.filling)))

    def _keep(self, whole: Whole, body: bytes) -> None:
        self._keeper.put(replace(whole, body=body))


def begin_whole(request: Request, filling: Filling) -> Whole:
    """Say all that is known before the answer comes, so that nobody holds the request until then."""
    ttl_s, stale_s = filling.rule.ttl_s, filling.rule.stale_if_error_s
    tries = request.find(Tries)
    return Whole(
        filling.key,
        request.fact(Operation).kind,
        request.fact(Prompt).stream,
        b"",
        ttl_s,
        ttl_s + stale_s,
        filling.lead,
        filling.sought,
        request.fact(Model).served_as,
        tuple(each.model.served_as for each in tries.alternatives) if tries else (),
    )
