"""Rules for parameters, checked against the bodies they are for: a default that every engine would
refuse must be found before it is live."""

from collections.abc import Iterable

from extproc.dialects.members import find_wrong
from extproc.policy.base import Place
from extproc.policy.catalog import ParameterRule
from extproc.request import Kind

OPERATIONS = (Kind.CHAT, Kind.COMPLETIONS, Kind.EMBEDDINGS, Kind.RESPONSES, Kind.MESSAGES)


def check_rule(rule: ParameterRule) -> Iterable[tuple[Place, str]]:
    """Find values that are wrong in a body this rule applies to, each with its place in the rule."""
    values: list[tuple[Place, str, object]] = [
        (("defaults", name), name, value) for name, value in rule.defaults.items()
    ]
    for name, bounds in rule.clamp.items():
        both = (("min", bounds.min), ("max", bounds.max))
        values += [(("clamp", name, end), name, bound) for end, bound in both if bound is not None]
    kinds = [kind for kind in OPERATIONS if not rule.operations or kind.value in rule.operations]
    for place, name, value in values:
        for kind in kinds:
            if said := find_wrong(kind, name, value):
                yield place, f"no {kind.value} request may have it: {said}"
                break
