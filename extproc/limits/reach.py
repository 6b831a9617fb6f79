"""Whom a limit is for, whose count a request goes to, and which class it has."""

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import quote

import msgspec

from extproc.limits.base import Limit
from extproc.request import Identity, Kind, Model

LONGEST_USER = 200
"""Of a user's name, as written here. Longer ones end in a digest: a character may take twelve."""


class Whom(msgspec.Struct, frozen=True, kw_only=True):
    """The requests that something is for. An empty set is no condition."""

    tenants: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()

    def covers(self, identity: Identity, model: Model, kind: Kind) -> bool:
        """Say whether a request is meant. About 1 us."""
        return (
            (not self.tenants or identity.tenant in self.tenants)
            and (not self.projects or identity.project in self.projects)
            and (not self.users or identity.user in self.users)
            and (not self.groups or not self.groups.isdisjoint(identity.groups))
            and (not self.keys or identity.key_id in self.keys)
            and (not self.models or model.name in self.models)
            and (not self.pools or model.pool in self.pools)
            and (not self.operations or kind.value in self.operations)
        )


class Reach(Whom, frozen=True, kw_only=True):
    """One limit, and the requests it is for."""

    limit: Limit
    per: tuple[str, ...]
    """Names of `OWNERS`, all of which make a count; none: everybody shares one."""
    stop: bool = False
    """Whether an answer that outruns it is ended midway."""
    ample: int = 0
    """As long as more than this is left, no single answer can outrun it."""

    def may_cover(self, identity: Identity) -> bool:
        """Say whether a request may count, before its body tells the model."""
        return (not self.tenants or identity.tenant in self.tenants) and (
            not self.keys or identity.key_id in self.keys
        )

    def scope(self, identity: Identity, model: Model) -> str:
        """Name the count that a request goes to, such as `acme/alice`."""
        return "/".join([OWNERS[owner](identity, model) for owner in self.per])

    def concerns(self, scope: str, tenant: str) -> bool:
        """Say whether a tenant has a part in a count: it is theirs, or one that all share."""
        return self.tenant(scope) in ("", tenant)

    def tenant(self, scope: str) -> str:
        """Name the tenant whose count it is; empty when all share it."""
        for owner, part in zip(self.per, scope.split("/"), strict=False):
            if owner not in FROM_BODY:
                return part
        return ""


class Priority(Whom, frozen=True, kw_only=True):
    """A class of requests, for those that wait in line."""

    name: str
    weight: int


DEFAULT = Priority(name="default", weight=1)
"""Of whom no class of the policy is for."""


def name_user(identity: Identity) -> str:
    """Name a person, or the key of somebody we do not know: a key is one user then. Names of users
    come from tokens and hold anything; a slash in one must not make it another's."""
    if not identity.user:
        return f"key:{quote(identity.key_id, safe='')}"
    name = quote(identity.user, safe="@+")
    if len(name) > LONGEST_USER:
        digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        name = f"{name[:LONGEST_USER]}~{digest}"
    return name


OWNERS: Mapping[str, Callable[[Identity, Model], str]] = MappingProxyType(
    {
        "tenant": lambda identity, _: identity.tenant,
        "project": lambda identity, _: f"{identity.tenant}/{identity.project or '-'}",
        "user": lambda identity, _: f"{identity.tenant}/{name_user(identity)}",
        "key": lambda identity, _: f"{identity.tenant}/{quote(identity.key_id, safe='')}",
        "model": lambda _, model: quote(model.name, safe=""),
        "pool": lambda _, model: model.pool,
    }
)
"""What a count can belong to, and its name. Projects, users and keys are those of their tenant."""

FROM_BODY = frozenset({"model", "pool"})
"""Those of them that belong to no tenant, and are not known before the body is."""
