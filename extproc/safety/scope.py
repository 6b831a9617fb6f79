"""For whom a rule is: for which tenants, and for which models. Alike in all sections of a policy, where
a rule that names none is for everybody."""

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol, TypeVar

from extproc.request import Identity, Model, Request


class Scoped(Protocol):
    """A rule, or what a policy says of one."""

    @property
    def tenants(self) -> Collection[str]: ...
    @property
    def models(self) -> Collection[str]: ...


ScopedT = TypeVar("ScopedT", bound=Scoped)


def may_cover(rule: Scoped, tenant: str) -> bool:
    """Whether it is for any request of this tenant."""
    return not rule.tenants or tenant in rule.tenants


def covers(rule: Scoped, tenant: str, model: str) -> bool:
    return may_cover(rule, tenant) and (not rule.models or model in rule.models)


def tenant_rules(rules: Iterable[ScopedT], request: Request) -> list[ScopedT]:
    """Find those that may be for a request, as long as its model is not known."""
    tenant = request.fact(Identity).tenant
    return [each for each in rules if may_cover(each, tenant)]


def rules_for(rules: Iterable[ScopedT], request: Request) -> list[ScopedT]:
    """Find those that are for a request, in their order."""
    tenant, model = request.fact(Identity).tenant, request.fact(Model).name
    return [each for each in rules if covers(each, tenant, model)]


Place = tuple[str | int, ...]


def check_scope(
    place: Place, rule: Scoped, known: Mapping[str, AbstractSet[str]]
) -> Iterable[tuple[Place, str]]:
    """Find the names in a policy's rule that point nowhere. `known` has the `tenants` and `models`
    there are; `place` is that of the rule."""
    for member, named in (("tenants", rule.tenants), ("models", rule.models)):
        for unknown in sorted(set(named) - known[member]):
            yield (*place, member), f"there is no {member[:-1]} {unknown!r}"
