"""The ordered list of filters: this is the order in which a request meets them."""

from collections.abc import Sequence
from dataclasses import dataclass

from engines.base import ENGINES
from extproc.filter import Filter
from extproc.filters.catalog import Catalog
from extproc.filters.identify import Identify
from extproc.filters.measure import Measure
from extproc.filters.pick import Pick
from extproc.filters.read import Read
from extproc.filters.resolve import Resolve
from extproc.filters.settle import Settle
from extproc.filters.surface import Surface
from extproc.policy.models import Policy
from extproc.policy.tables import key_source, model_table
from extproc.ports import EngineView, Journal


@dataclass(frozen=True, slots=True)
class Outside:
    """What filters may use of the world."""

    engines: EngineView
    journal: Journal


def build(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Make the filters of one policy version."""
    engines = {pool.name: ENGINES[pool.engine] for pool in policy.pools}
    endpoints = {pool.name: pool.endpoints for pool in policy.pools}
    return (
        # Needs headers only: refused before a byte of the body is read.
        Surface(),
        Identify(key_source(policy), policy.projects()),
        Catalog(model_table(policy)),
        # Needs the body.
        Read(),
        Resolve(model_table(policy)),
        Measure(engines),
        Pick(endpoints, outside.engines),
        # Last: what it writes down is what leaves.
        Settle(outside.journal, policy.version),
    )
