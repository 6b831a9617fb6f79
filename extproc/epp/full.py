"""All filters of the gateway behind somebody else's Envoy: identity, access, limits and the rest.

What counts on our own Envoy is left out: services beside it, other pools and services elsewhere, and the
ledger, which reads its access log. What was used is read from the end of each answer (`usage.py`).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from extproc import filters
from extproc.epp.pipeline import find_pool
from extproc.filter import Filter
from extproc.filters import Outside
from extproc.filters.measure import Measure
from extproc.filters.settle import Settle
from extproc.policy.models import Policy

LEFT_OUT = (Measure, Settle)
"""`Measure` has engines tell in streams what clients did not ask for, and our Envoy take it out again."""
ALONE: Mapping[str, object] = MappingProxyType(
    {"fallback": (), "downgrade": (), "hedge": None, "cascade": None}
)
"""Of a model: nothing stands in for it, and nothing is asked besides."""


def build_full(policy: Policy, pool: str, outside: Outside) -> Sequence[Filter]:
    """Make the filters. Raises: PolicyError."""
    built = filters.build(within(policy, pool), outside)
    return [each for each in built if not isinstance(each, LEFT_OUT)]


def within(policy: Policy, name: str) -> Policy:
    """Take the part of a policy that one pool can serve: other models do not exist here, and none
    stands in for another. Raises: PolicyError."""
    pool = find_pool(policy, name)
    models = [
        model.model_copy(update=ALONE)
        for model in policy.models
        if {track.pool for track in model.in_service()} == {name}
    ]
    return policy.model_copy(update={"pools": (pool,), "models": tuple(models)})
