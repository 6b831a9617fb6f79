"""Attacks by what models read: of whom they are looked for, and what becomes of them."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, StringConstraints, model_validator

from extproc.dialects.textual import Speaker
from extproc.policy.base import Name, Place, Secret, Strict, Word
from extproc.policy.classifier import ClassifierPolicy
from extproc.safety.injection.firewall import THRESHOLDS, Firewall
from extproc.safety.injection.matching import Matcher
from extproc.safety.injection.rulebook import (
    Rulebook,
    make_own,
    rule_ids,
    shipped_rulebook,
    shipped_rules,
)
from extproc.safety.injection.rules import SPEAKERS, Rule, View
from extproc.safety.scope import check_scope

Action = Literal["deny", "tag", "strip", "route"]
Share = Annotated[float, Field(gt=0, le=1)]
RuleId = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(\.[a-z0-9-]+)+$", max_length=64)
]
MOST_RULES, MOST_PATTERNS, MOST_EXPRESSION = 64, 32, 1024


class FirewallRulePolicy(Strict):
    """A rule of your own: `docs/firewall.md` says how patterns are written."""

    id: RuleId  # as in `own.project-names`
    patterns: Annotated[
        tuple[Annotated[str, Field(min_length=3, max_length=MOST_EXPRESSION)], ...],
        Field(min_length=1, max_length=MOST_PATTERNS),
    ]
    score: Share = 0.7
    speakers: tuple[Speaker, ...] = ()  # in whose words; none: everybody's
    view: View = "words"  # or shown: with punctuation, a plain expression of re2

    def rule(self) -> Rule:
        speakers = self.speakers or SPEAKERS
        return Rule(self.id, self.score, "", self.patterns, speakers, self.view, (), "own")


class ThresholdsPolicy(Strict):
    """From which score on a text is an attack; 1: it is not looked at."""

    user: Share = THRESHOLDS["user"]
    tool: Share = THRESHOLDS["tool"]  # results of tools, documents
    assistant: Share = THRESHOLDS["assistant"]
    definition: Share = THRESHOLDS["definition"]  # of tools and schemas
    other: Share = THRESHOLDS["other"]  # metadata, members that nobody knows
    system: Share = 1.0

    def table(self) -> Mapping[Speaker, float]:
        return {name: share for name in SPEAKERS if (share := getattr(self, name)) < 1}


class CanaryPolicy(Strict):
    """A mark in the system prompt, by which a leak of it is noticed in answers."""

    key: Secret
    on_leak: Literal["cut", "tag"] = "cut"  # the rest of the answer is withheld, or it is only told


class FirewallPolicy(Strict):
    """Of several that are for a request, the first counts."""

    tenants: tuple[Word, ...] = ()  # for whom it is; none: everybody
    models: tuple[Name, ...] = ()
    action: Action = "deny"
    tool_action: Action | None = None  # where only tools and documents attack; none: as `action`
    to: Name | None = None  # the model that route leads to
    thresholds: ThresholdsPolicy = ThresholdsPolicy()
    rules: Annotated[tuple[FirewallRulePolicy, ...], Field(max_length=MOST_RULES)] = ()
    without: tuple[RuleId, ...] = ()  # ids of shipped rules that are not to count
    classifier: ClassifierPolicy | None = None  # a service that looks where rules find nothing
    canary: CanaryPolicy | None = None
    on_fault: Literal["deny", "continue"] = "deny"  # when a text could not be looked through
    _own: Rulebook | None = PrivateAttr(None)

    @model_validator(mode="after")
    def check_rules(self) -> Self:
        if ("route" in (self.action, self.tool_action)) != (self.to is not None):
            raise ValueError("to is for action route, which needs it")
        if unknown := sorted(set(self.without) - rule_ids(shipped_rules())):
            raise ValueError(f"without: there is no rule {unknown[0]!r}")
        if self.rules:
            self._own = make_own([rule.rule() for rule in self.rules])
        return self

    def firewall(self) -> Firewall:
        books = (shipped_rulebook(), *([self._own] if self._own else []))
        return Firewall(Matcher(*books, off=frozenset(self.without)), self.thresholds.table())


def check_firewall(
    entries: Sequence[FirewallPolicy], known: Mapping[str, AbstractSet[str]]
) -> Iterable[tuple[Place, str]]:
    """Find what points nowhere. `known` names the tenants and models there are."""
    for index, entry in enumerate(entries):
        yield from check_scope(("firewall", index), entry, known)
        if entry.to is not None and entry.to not in known["models"]:
            yield ("firewall", index, "to"), f"there is no model {entry.to!r}"
