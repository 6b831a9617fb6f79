"""Hands what is for a sidecar over to it, with the identity in headers that no client can send."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import ClassVar
from urllib.parse import quote

from extproc.decision import Decision
from extproc.decision import Relay as Handed
from extproc.filter import Filter
from extproc.filters.identify import PROJECT_HEADER, TENANT_HEADER
from extproc.request import Fact, Identity, Operation, Request
from extproc.sidecars import SIDECARS

POOLS = {sidecar.kind: sidecar.pool for sidecar in SIDECARS}

GROUPS_CHARS = 4096
"""How much of a list of groups is told, in whole names: a token of 16 KiB may hold thousands, and
Envoy refuses headers above 60 KiB."""


class Relay(Filter):
    """`readers_of_all` are the groups whose members may see every tenant.

    What is told is what the credential may see, narrowed by what the client asked for:

        x-headgate-scope    `all`, `tenant` or `project`
        x-headgate-tenant   whose credential it is
        x-headgate-project  of scope `project`: which one
        x-headgate-user, x-headgate-groups   as far as they are known

    Values are percent-encoded, groups are separated by commas.
    """

    name: ClassVar[str] = "relay"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity})

    def __init__(self, readers_of_all: AbstractSet[str]) -> None:
        self._readers_of_all = readers_of_all

    async def decide(self, request: Request) -> Decision:
        pool = POOLS.get(request.fact(Operation).kind)
        if pool is None:
            return request
        identity = request.fact(Identity)
        return Handed(pool, {**tell(identity), "x-headgate-scope": self._scope(request, identity)})

    def _scope(self, request: Request, identity: Identity) -> str:
        """A header narrows whoever sends it; a project that a key is bound to does not narrow a
        group that was named to see all."""
        narrowed = TENANT_HEADER in request.headers or PROJECT_HEADER in request.headers
        if not narrowed and not self._readers_of_all.isdisjoint(identity.groups):
            return "all"
        return "project" if identity.project else "tenant"


def tell(identity: Identity) -> Mapping[str, str]:
    """Write an identity into headers; what is not known has none."""
    known = {
        "x-headgate-tenant": quote(identity.tenant, safe=""),
        "x-headgate-project": quote(identity.project, safe=""),
        "x-headgate-user": quote(identity.user, safe=""),
        "x-headgate-groups": join(sorted(identity.groups)),
    }
    return {name: value for name, value in known.items() if value}


def join(groups: Iterable[str]) -> str:
    joined = ",".join(quote(group, safe="") for group in groups if group)
    if len(joined) <= GROUPS_CHARS:
        return joined
    return joined[: GROUPS_CHARS + 1].rpartition(",")[0]
