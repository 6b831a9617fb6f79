"""The typed policy. A member nobody knows is an error, a loaded policy never changes.

The comments on fields are the manual; `docs/policy.md` shows them in use.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, StringConstraints

from extproc.keys import KeySource
from extproc.policy.base import Digest, Name, Place, Strict, Word, check_endpoint
from extproc.request import Identity, Model

Endpoint = Annotated[str, AfterValidator(check_endpoint)]


class TenantPolicy(Strict):
    name: Word
    projects: tuple[Word, ...] = ()


class KeyPolicy(Strict):
    """An API key, by its digest: `headgate keys new` prints both."""

    id: Word  # what logs and the ledger show in place of the key
    digest: Digest
    tenant: Word
    project: Word | None = None  # none: the client names one in X-Project-ID, or none is billed
    user: Word | None = None
    models: tuple[Name | Literal["*"], ...] = ("*",)  # public names; "*" is all


class PoolPolicy(Strict):
    """Endpoints that serve the same model version."""

    name: Word
    engine: Literal["vllm", "sim"] = "vllm"
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)]


class ModelPolicy(Strict):
    name: Name  # what clients call it
    pool: Word
    served_as: Annotated[str, StringConstraints(min_length=1)] | None = None
    """What the engines call it; the same, if left out."""
    aliases: tuple[Name, ...] = ()


class Policy(Strict):
    """All of it. Files of a directory are joined list by list."""

    salt: Annotated[str, StringConstraints(min_length=8)] = "headgate"  # of key digests
    tenants: tuple[TenantPolicy, ...] = ()
    keys: tuple[KeyPolicy, ...] = ()
    pools: tuple[PoolPolicy, ...] = ()
    models: tuple[ModelPolicy, ...] = ()
    _version: str = PrivateAttr("")

    @property
    def version(self) -> str:
        """A hash of the content, set by `load`."""
        return self._version

    def at(self, version: str) -> Self:
        """Say which version this is."""
        self._version = version
        return self

    def dangling(self) -> Iterable[tuple[Place, str]]:
        """Find what points nowhere, or stands twice: each mistake with its place."""
        yield from twice("tenants", "name", [tenant.name for tenant in self.tenants])
        yield from twice("keys", "id", [key.id for key in self.keys])
        yield from twice("keys", "digest", [key.digest for key in self.keys])
        yield from twice("pools", "name", [pool.name for pool in self.pools])
        for index, tenant in enumerate(self.tenants):
            yield from twice_in(("tenants", index, "projects"), tenant.projects)
        for index, pool in enumerate(self.pools):
            yield from twice_in(("pools", index, "endpoints"), pool.endpoints)
        yield from self._check_models()
        yield from self._check_keys()

    def _check_models(self) -> Iterable[tuple[Place, str]]:
        pools = {pool.name for pool in self.pools}
        seen: set[str] = set()
        for index, model in enumerate(self.models):
            if model.pool not in pools:
                yield ("models", index, "pool"), f"there is no pool {model.pool!r}"
            for name in (model.name, *model.aliases):
                if name in seen:
                    yield ("models", index), f"the name {name!r} stands twice"
                seen.add(name)

    def _check_keys(self) -> Iterable[tuple[Place, str]]:
        projects = self.projects()
        names = {"*", *(model.name for model in self.models)}
        for index, key in enumerate(self.keys):
            if key.tenant not in projects:
                yield ("keys", index, "tenant"), f"there is no tenant {key.tenant!r}"
            elif key.project and key.project not in projects[key.tenant]:
                said = f"tenant {key.tenant!r} has no project {key.project!r}"
                yield ("keys", index, "project"), said
            for unknown in sorted(set(key.models) - names):
                yield ("keys", index, "models"), f"there is no model {unknown!r}"

    def projects(self) -> Mapping[str, AbstractSet[str]]:
        return {tenant.name: frozenset(tenant.projects) for tenant in self.tenants}

    def key_source(self) -> KeySource:
        return KeySource(self.salt, {key.digest: identity(key) for key in self.keys})

    def model_table(self) -> Mapping[str, Model]:
        """Map public names and aliases to what serves them."""
        return {
            name: Model(model.name, model.pool, model.served_as or model.name)
            for model in self.models
            for name in (model.name, *model.aliases)
        }


def identity(key: KeyPolicy) -> Identity:
    return Identity(
        tenant=key.tenant,
        key_id=key.id,
        project=key.project or "",
        user=key.user or "",
        models=frozenset(key.models),
    )


def twice(section: str, member: str, values: list[str]) -> Iterable[tuple[Place, str]]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield (section, index, member), f"{value!r} stands twice"


def twice_in(place: Place, values: tuple[str, ...]) -> Iterable[tuple[Place, str]]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield (*place, index), f"{value!r} stands twice"
