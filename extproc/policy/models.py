"""The whole policy: its sections, and what must hold between them.

A member nobody knows is an error, a loaded policy never changes. The comments on fields are the
manual; `docs/policy.md` shows them in use.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Self

from pydantic import PrivateAttr, StringConstraints

from engines.base import ENGINES
from extproc.policy.access import AccessPolicy
from extproc.policy.alerts import AlertsPolicy
from extproc.policy.audit import AuditPolicy
from extproc.policy.base import Place, Strict
from extproc.policy.cache import CachePolicy, check_cache
from extproc.policy.catalog import ModelPolicy, PoolPolicy
from extproc.policy.egress import check_egress
from extproc.policy.explain import ExplainPolicy
from extproc.policy.fallback import check_cascades, check_chains
from extproc.policy.firewall import FirewallPolicy, check_firewall
from extproc.policy.guards import GuardsPolicy
from extproc.policy.identities import IssuerPolicy, KeyPolicy, ServicePolicy, TenantPolicy
from extproc.policy.ledger import LedgerPolicy
from extproc.policy.limits import LimitPolicy
from extproc.policy.moderation import ModerationPolicy, check_moderation
from extproc.policy.outbound import OutboundPolicy, check_outbound
from extproc.policy.pii import PiiPolicy, check_pii
from extproc.policy.priorities import PriorityPolicy
from extproc.policy.rules import check_rule

Mistake = tuple[Place, str]


class Policy(Strict):
    """All of it. Files of a directory are joined list by list."""

    salt: Annotated[str, StringConstraints(min_length=8)] = "headgate"  # of key digests
    tenants: tuple[TenantPolicy, ...] = ()
    keys: tuple[KeyPolicy, ...] = ()
    issuers: tuple[IssuerPolicy, ...] = ()
    services: tuple[ServicePolicy, ...] = ()
    pools: tuple[PoolPolicy, ...] = ()
    models: tuple[ModelPolicy, ...] = ()
    access: AccessPolicy = AccessPolicy()
    limits: tuple[LimitPolicy, ...] = ()
    priorities: tuple[PriorityPolicy, ...] = ()
    guards: GuardsPolicy = GuardsPolicy()
    alerts: AlertsPolicy = AlertsPolicy()
    explain: ExplainPolicy = ExplainPolicy()
    firewall: tuple[FirewallPolicy, ...] = ()
    pii: PiiPolicy = PiiPolicy()
    outbound: OutboundPolicy = OutboundPolicy()
    audit: AuditPolicy = AuditPolicy()
    cache: CachePolicy = CachePolicy()
    moderation: ModerationPolicy = ModerationPolicy()
    ledger: LedgerPolicy = LedgerPolicy()
    _version: str = PrivateAttr("")
    _sources: Mapping[Path, bytes] = PrivateAttr(default_factory=dict[Path, bytes])

    @property
    def version(self) -> str:
        """A hash of the content, set by `load`."""
        return self._version

    @property
    def sources(self) -> Mapping[Path, bytes]:
        """The files it was read from, set by `load`."""
        return self._sources

    def at(self, version: str, sources: Mapping[Path, bytes] | None = None) -> Self:
        """Say which version this is, and from which files."""
        self._version, self._sources = version, sources or {}
        return self

    def projects(self) -> Mapping[str, AbstractSet[str]]:
        return {tenant.name: frozenset(tenant.projects) for tenant in self.tenants}

    def dangling(self) -> Iterable[Mistake]:
        """Find what points nowhere, or stands twice: each mistake with its place."""
        yield from twice("tenants", "name", [tenant.name for tenant in self.tenants])
        yield from twice("keys", "id", [key.id for key in self.keys])
        yield from twice("issuers", "name", [issuer.name for issuer in self.issuers])
        yield from twice("issuers", "issuer", [issuer.issuer for issuer in self.issuers])
        yield from twice("services", "name", [service.name for service in self.services])
        yield from twice("pools", "name", [pool.name for pool in self.pools])
        yield from twice("limits", "name", [limit.name for limit in self.limits])
        yield from twice("priorities", "name", [each.name for each in self.priorities])
        for index, tenant in enumerate(self.tenants):
            yield from twice_in(("tenants", index, "projects"), tenant.projects)
        for index, pool in enumerate(self.pools):
            yield from twice_in(("pools", index, "endpoints"), pool.endpoints)
        yield from self._check_models()
        yield from check_chains([(m.name, m.fallback, m.downgrade) for m in self.models])
        yield from check_cascades({m.name: m.cascade for m in self.models})
        yield from self._check_counting()
        yield from self._check_keys()
        yield from self._check_others()

    def _check_models(self) -> Iterable[Mistake]:
        pools = {pool.name for pool in self.pools}
        seen: set[str] = set()
        for index, model in enumerate(self.models):
            if model.pool is not None and model.pool not in pools:
                yield ("models", index, "pool"), f"there is no pool {model.pool!r}"
            for number, track in enumerate(model.tracks):
                if track.pool not in pools:
                    place = ("models", index, "tracks", number, "pool")
                    yield place, f"there is no pool {track.pool!r}"
            for number, rule in enumerate(model.parameters):
                for inner, said in check_rule(rule):
                    yield ("models", index, "parameters", number, *inner), said
            for name in (model.name, *model.aliases):
                if name in seen:
                    yield ("models", index), f"the name {name!r} stands twice"
                seen.add(name)

    def _check_counting(self) -> Iterable[Mistake]:
        """See that engines which are to count prompts can, and that what they tell of their caches can
        be matched with prompts: without a vocabulary it would take the place of what is known else."""
        mute = {pool.name for pool in self.pools if not ENGINES[pool.engine].tokenizes}
        telling = {pool.name for pool in self.pools if pool.kv_events}
        for index, model in enumerate(self.models):
            if model.tokenizer is None or model.tokenizer.file is None:
                for pool in sorted(telling & {track.pool for track in model.in_service()}):
                    said = f"give its tokenizer.file, for pool {pool!r} has kv_events"
                    yield ("models", index, "tokenizer"), said
            asks = model.tokenizer is not None and model.tokenizer.engine
            for track in model.in_service() if asks else ():
                if track.pool in mute:
                    said = f"the engines of pool {track.pool!r} cannot be asked"
                    yield ("models", index, "tokenizer", "engine"), said

    def _check_keys(self) -> Iterable[Mistake]:
        projects = self.projects()
        digests: set[str] = set()
        for index, key in enumerate(self.keys):
            if key.tenant not in projects:
                yield ("keys", index, "tenant"), f"there is no tenant {key.tenant!r}"
            elif key.project and key.project not in projects[key.tenant]:
                said = f"tenant {key.tenant!r} has no project {key.project!r}"
                yield ("keys", index, "project"), said
            yield from self._check_names(("keys", index, "models"), key.models)
            for digest in (key.digest, *(old.digest for old in key.retiring)):
                if digest in digests:
                    yield ("keys", index, "digest"), f"'{digest[:12]}...' stands twice"
                digests.add(digest)

    def _check_others(self) -> Iterable[Mistake]:
        tenants = {"*", *(tenant.name for tenant in self.tenants)}
        for index, issuer in enumerate(self.issuers):
            if issuer.tenant is not None and issuer.tenant not in tenants:
                yield ("issuers", index, "tenant"), f"there is no tenant {issuer.tenant!r}"
            yield from self._check_names(("issuers", index, "models"), issuer.models)
        for index, service in enumerate(self.services):
            for unknown in sorted(set(service.tenants) - tenants):
                yield ("services", index, "tenants"), f"there is no tenant {unknown!r}"
        yield from self._check_recorded(tenants)
        models = {model.name for model in self.models}
        named = {"tenants": tenants - {"*"}, "models": models}
        yield from check_firewall(self.firewall, named)
        yield from check_pii(self.pii, named)
        yield from check_outbound(self.outbound, self.pii.own_types(), named)
        leaving = {i: p.upstream.egress for i, p in enumerate(self.pools) if p.upstream}
        yield from check_egress(leaving, self.pii.own_types(), named["tenants"])
        pools = {pool.name for pool in self.pools}
        known = {"tenants": tenants - {"*"}, "models": models, "pools": pools}
        yield from check_cache(self.cache, known)
        yield from check_moderation(self.moderation, named)
        for index, limit in enumerate(self.limits):
            yield from self._check_whom(("limits", index), limit)
        for index, priority in enumerate(self.priorities):
            yield from self._check_whom(("priorities", index), priority)
        for index, rule in enumerate(self.access.allow):
            yield from self._check_names(("access", "allow", index, "models"), rule.models)
        for index, said in repeated([rule.name for rule in self.access.deny]):
            yield ("access", "deny", index, "name"), said
        yield from self._check_alerts(tenants - {"*"})

    def _check_recorded(self, tenants: AbstractSet[str]) -> Iterable[Mistake]:
        whose = {
            ("explain",): self.explain.tenants,
            ("audit", "requests"): self.audit.requests.tenants,
        }
        for section, named in whose.items():
            for unknown in sorted(set(named) - tenants):
                yield (*section, "tenants"), f"there is no tenant {unknown!r}"

    def _check_alerts(self, tenants: AbstractSet[str]) -> Iterable[Mistake]:
        lists = {
            "webhooks": [(each.name, each.tenants) for each in self.alerts.webhooks],
            "cost": [(rule.name, rule.tenants) for rule in self.alerts.cost],
        }
        for member, entries in lists.items():
            for index, said in repeated([name for name, _ in entries]):
                yield ("alerts", member, index, "name"), said
            for index, (_, named) in enumerate(entries):
                for unknown in sorted(set(named) - tenants):
                    place = ("alerts", member, index, "tenants")
                    yield place, f"there is no tenant {unknown!r}"

    def _check_whom(self, place: Place, entry: LimitPolicy | PriorityPolicy) -> Iterable[Mistake]:
        known = {
            "tenants": {tenant.name for tenant in self.tenants},
            "projects": {project for tenant in self.tenants for project in tenant.projects},
            "keys": {key.id for key in self.keys},
            "pools": {pool.name for pool in self.pools},
        }
        for member, names in known.items():
            for unknown in sorted(set(getattr(entry, member, ())) - names):
                yield (*place, member), f"there is no {member[:-1]} {unknown!r}"
        yield from self._check_names((*place, "models"), entry.models)

    def _check_names(self, place: Place, names: Sequence[str]) -> Iterable[Mistake]:
        named = set(names) - {"*"}
        for unknown in sorted(named - {model.name for model in self.models}) if named else ():
            yield place, f"there is no model {unknown!r}"


def twice(section: str, member: str, values: Sequence[str]) -> Iterable[Mistake]:
    for index, said in repeated(values):
        yield (section, index, member), said


def twice_in(place: Place, values: Sequence[str]) -> Iterable[Mistake]:
    for index, said in repeated(values):
        yield (*place, index), said


def repeated(values: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Find values that stood earlier, with their index."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index, f"{value!r} stands twice"
        seen.add(value)
