"""What may leave for a service elsewhere: which data, which members, of whom."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal

from pydantic import StringConstraints

from extproc.policy.base import Place, Strict, Word
from extproc.policy.pii import TypeName
from extproc.safety.egress import Gate
from extproc.safety.pii.rules import ALL, TYPES

Member = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class EgressPolicy(Strict):
    """Looked at is what would leave: what was masked is no personal data any more. What is said nowhere
    stays here."""

    types: tuple[TypeName, ...] = ()  # of personal data that may leave as it is; `all`: any
    fields: tuple[Member, ...] = ()  # such as user, metadata, or an extension of the service
    regions: tuple[Word, ...] = ()  # of tenants, by `tenants.region`; none: of any, and of none
    tenants: tuple[Word, ...] = ()  # none: everybody
    on_violation: Literal["deny", "next"] = "deny"  # next: the first model of `fallback` that may

    def gate(self) -> Gate:
        return Gate(
            frozenset(self.types),
            frozenset(self.fields),
            frozenset(self.regions),
            frozenset(self.tenants),
            goes_on=self.on_violation == "next",
        )


def check_egress(
    egress: Mapping[int, EgressPolicy], own: AbstractSet[str], tenants: AbstractSet[str]
) -> Iterable[tuple[Place, str]]:
    """Find what points nowhere: `egress` by the index of its pool, `own` are the policy's own types."""
    for index, each in egress.items():
        place: Place = ("pools", index, "upstream", "egress")
        for unknown in sorted(set(each.types) - TYPES - own - {ALL}):
            yield (*place, "types"), f"no pattern finds {unknown!r}"
        for unknown in sorted(set(each.tenants) - tenants):
            yield (*place, "tenants"), f"there is no tenant {unknown!r}"
