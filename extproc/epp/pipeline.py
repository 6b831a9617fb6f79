"""The filters of a picker, in order: no identity, no limits, no refusal but for want of an engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from extproc.epp.adopt import Adopt
from extproc.epp.glance import Glance
from extproc.epp.narrow import Narrow
from extproc.epp.shed import DEFAULT, Full, Shed
from extproc.errors import PolicyError
from extproc.filter import Filter
from extproc.filters.pick import Pick
from extproc.filters.prefix import Prefixing
from extproc.policy.catalog import PoolPolicy
from extproc.policy.models import Policy
from extproc.ports import EngineView
from extproc.routing.candidate import TRIES


@dataclass(frozen=True, slots=True)
class PickerRules:
    """What may be said when a picker is started."""

    pool: str
    objectives: Mapping[str, int] = field(default_factory=dict[str, int])
    """Priorities; below zero is shed when all engines are full."""
    full: Full = DEFAULT
    """When an engine is."""
    tries: int = TRIES
    """Most endpoints in a list."""
    conformance: bool = False
    """Whether clients may choose endpoints by a header, for conformance tests."""


def build(policy: Policy, rules: PickerRules, view: EngineView) -> Sequence[Filter]:
    """Make the filters of the picker of one pool. Raises: PolicyError."""
    pool = find_pool(policy, rules.pool)
    shed = Shed(pool.name, rules.objectives, view, rules.full)
    adapters = [model.name for model in policy.models if model.adapter]
    return (
        *((Narrow(view.knows),) if rules.conformance else ()),
        Adopt(pool.name),
        *((shed,) if rules.objectives else ()),
        Glance(Prefixing(adapters)),
        Pick({pool.name: pool.picking}, view, adapters),
    )


def find_pool(policy: Policy, name: str) -> PoolPolicy:
    """Raises: PolicyError."""
    for pool in policy.pools:
        if pool.name == name and pool.upstream is None:
            return pool
    known = ", ".join(pool.name for pool in policy.pools if pool.upstream is None) or "none"
    raise PolicyError(f"--pool: the policy has no pool {name!r} of engines; it has: {known}")
