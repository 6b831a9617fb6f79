"""The typed policy. A member nobody knows is an error, a loaded policy never changes.

The comments on fields are the manual; `docs/policy.md` shows them in use.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from extproc.keys import KeySource
from extproc.request import Identity, Model

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
"""Goes into headers, metrics and file names; slashes occur in model names."""
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def check_endpoint(text: str) -> str:
    """Accept `ip:port` or `[ipv6]:port`: Envoy matches the text, so names are not allowed."""
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(f"{text!r} is not ip:port") from None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is not ip:port")
    if (address.version == 6) != host.startswith("["):
        raise ValueError(f"{text!r}: IPv6 addresses, and only they, stand in brackets")
    return text


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    endpoints: Annotated[
        tuple[Annotated[str, AfterValidator(check_endpoint)], ...], Field(min_length=1)
    ]


class ModelPolicy(Strict):
    name: Name  # what clients call it
    pool: Word
    served_as: str | None = None  # what the engines call it; the same, if left out
    aliases: tuple[Name, ...] = ()


class Policy(Strict):
    """All of it. Files of a directory are joined list by list."""

    salt: Annotated[str, StringConstraints(min_length=8)] = "headgate"  # of key digests
    tenants: tuple[TenantPolicy, ...] = ()
    keys: tuple[KeyPolicy, ...] = ()
    pools: tuple[PoolPolicy, ...] = ()
    models: tuple[ModelPolicy, ...] = ()
    version: str = ""  # set by the loader: a hash of the content

    @model_validator(mode="after")
    def check_references(self) -> Self:
        """Refuse what points nowhere or is there twice; say all of it at once."""
        wrong = [
            *twice("tenants", (t.name for t in self.tenants)),
            *twice("keys", (k.id for k in self.keys)),
            *twice("keys", (k.digest for k in self.keys), "digest"),
            *twice("pools", (p.name for p in self.pools)),
            *twice("models", (n for m in self.models for n in (m.name, *m.aliases))),
            *self._dangling(),
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _dangling(self) -> Iterable[str]:
        projects = self.projects()
        for key in self.keys:
            if key.tenant not in projects:
                yield f"key {key.id!r}: there is no tenant {key.tenant!r}"
            elif key.project and key.project not in projects[key.tenant]:
                yield f"key {key.id!r}: tenant {key.tenant!r} has no project {key.project!r}"
        pools = {pool.name for pool in self.pools}
        for model in self.models:
            if model.pool not in pools:
                yield f"model {model.name!r}: there is no pool {model.pool!r}"

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


def twice(section: str, names: Iterable[str], what: str = "name") -> Iterable[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{section}: the {what} {name!r} stands twice"
        seen.add(name)
