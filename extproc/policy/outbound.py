"""What answers may not tell: personal data that the caller did not send."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated

from pydantic import Field

from extproc.policy.base import Name, Place, Strict, Word
from extproc.policy.pii import OnFault, TypeName
from extproc.safety.outbound import OutboundAction, OutboundRule
from extproc.safety.pii.rules import ALL, TYPES
from extproc.safety.scope import check_scope


class OutboundRulePolicy(Strict):
    """Of several rules that are for a request, the first that names a type counts for it."""

    types: Annotated[tuple[TypeName, ...], Field(min_length=1)]  # `all`: whatever is not named
    action: OutboundAction  # mask, cut or tag
    tenants: tuple[Word, ...] = ()  # for whom it is; none: everybody
    models: tuple[Name, ...] = ()

    def rule(self) -> OutboundRule:
        types, tenants = frozenset(self.types), frozenset(self.tenants)
        return OutboundRule(types, self.action, tenants, frozenset(self.models))


class OutboundPolicy(Strict):
    """Off while there are no rules. Own patterns and dictionaries are those of `pii`."""

    rules: tuple[OutboundRulePolicy, ...] = ()
    on_fault: OnFault | None = None  # before the answer begins; none: deny. Later, a fault cuts it

    def compiled_rules(self) -> Sequence[OutboundRule]:
        return [each.rule() for each in self.rules]


def check_outbound(
    outbound: OutboundPolicy, own: AbstractSet[str], known: Mapping[str, AbstractSet[str]]
) -> Iterable[tuple[Place, str]]:
    """Find what points nowhere. `own` are the policy's own types; `known` names tenants and models."""
    for index, rule in enumerate(outbound.rules):
        place: Place = ("outbound", "rules", index)
        for unknown in sorted(set(rule.types) - TYPES - own - {ALL}):
            yield (*place, "types"), f"no pattern finds {unknown!r}"
        yield from check_scope(place, rule, known)
