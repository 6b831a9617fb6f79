"""Which rules of safety a request was put under, so that no other model serves it under fewer.

Another model may stand in after the rules have been applied, and nothing of them runs again: so it may
only where the same rules are for it, or none.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar

import msgspec

from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.policy.models import Policy
from extproc.request import Fact, Identity, Model, Request
from extproc.safety.scope import Scoped, rules_for


class Scope(msgspec.Struct, frozen=True):
    """For whom one rule is. Empty sets are everybody."""

    section: str
    index: int
    tenants: AbstractSet[str]
    models: AbstractSet[str]


class Safeguarded(Fact, frozen=True):
    """The rules that were applied; established by this filter."""

    rules: frozenset[tuple[str, int]]


class Safeguards(Filter):
    """Notes the rules the first time it sees a request, and refuses later what is under others."""

    name: ClassVar[str] = "safeguards"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Identity, Model})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Safeguarded})

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self._scopes = scopes

    async def decide(self, request: Request) -> Decision:
        found = frozenset((each.section, each.index) for each in rules_for(self._scopes, request))
        applied = request.find(Safeguarded)
        if applied is None:
            return request.having(Safeguarded(found))
        if all_under(applied.rules, found):
            return request
        model = request.fact(Model).name
        return Deny(Reason.EGRESS, f"Other rules of safety are for the model {model!r}.")


def all_under(applied: AbstractSet[tuple[str, int]], wanted: AbstractSet[tuple[str, int]]) -> bool:
    """Say whether what was applied is what is wanted: section by section the same rules, for the first
    that names something counts, or none."""
    return all(
        {rule for rule in wanted if rule[0] == section}
        == {rule for rule in applied if rule[0] == section}
        for section in {section for section, _ in wanted}
    )


def scopes_of(policy: Policy) -> Sequence[Scope]:
    """List the rules of safety; empty where they are the same for all models."""
    sections: Mapping[str, Sequence[Scoped]] = {
        "firewall": policy.firewall,
        "moderation": policy.moderation.rules,
        "outbound": policy.outbound.rules,
        "pii": policy.pii.rules,
    }
    scopes = [
        Scope(section, index, frozenset(rule.tenants), frozenset(rule.models))
        for section, rules in sections.items()
        for index, rule in enumerate(rules)
    ]
    return scopes if any(each.models for each in scopes) else ()
