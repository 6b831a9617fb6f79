"""The ordered list of filters: this is the order in which a request meets them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engines.base import ENGINES
from extproc.errors import PolicyError
from extproc.filter import Filter
from extproc.filters.authorize import Authorize
from extproc.filters.banned import BannedAddress, BannedKey
from extproc.filters.catalog import Catalog
from extproc.filters.consult import Consult
from extproc.filters.context import Context
from extproc.filters.governance import Governance
from extproc.filters.identify import Identify
from extproc.filters.long_prompts import LongPrompts
from extproc.filters.measure import Measure
from extproc.filters.modality import Modality
from extproc.filters.parameters import Parameters
from extproc.filters.pick import Pick
from extproc.filters.read import Read
from extproc.filters.relay import Relay
from extproc.filters.resolve import Resolve
from extproc.filters.settle import Settle
from extproc.filters.surface import Surface
from extproc.filters.write import Write
from extproc.guards.guard import Guard
from extproc.identity.jwks import KeyRings
from extproc.policy.access import AuthorityPolicy
from extproc.policy.models import Policy
from extproc.policy.tables import (
    access_table,
    key_source,
    model_table,
    tenant_table,
    token_table,
)
from extproc.ports import Authority, EngineView, Journal


@dataclass(frozen=True, slots=True)
class Outside:
    """What filters may use of the world."""

    engines: EngineView
    journal: Journal
    rings: KeyRings = field(default_factory=KeyRings)
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    authority: Callable[[AuthorityPolicy], Authority] | None = None
    """Reaches the authority that a policy names."""
    governance: Governance | None = None
    """What limits need."""
    guard: Guard | None = None
    """Keeps clients out that are refused too often."""


def build(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Make the filters of one policy version."""
    engines = {pool.name: ENGINES[pool.engine] for pool in policy.pools}
    endpoints = {pool.name: pool.endpoints for pool in policy.pools}
    models, access = model_table(policy), access_table(policy)
    return (
        # Needs headers only: refused before a byte of the body is read.
        *ban_addresses(policy, outside),
        Surface(),
        Identify(
            key_source(policy),
            token_table(policy, outside.rings),
            tenant_table(policy),
            outside.clock,
        ),
        *ban_keys(policy, outside),
        Relay(frozenset(policy.ledger.readers_of_all)),
        Catalog(models, access, outside.clock),
        # Needs the body.
        Read(),
        Resolve(models, access),
        Authorize(access, outside.clock),
        *consult(policy, outside),
        Modality({model.name: model.modalities for model in policy.models}),
        Parameters({model.name: model.parameters for model in policy.models}),
        Context({m.name: m.context_tokens for m in policy.models if m.context_tokens}),
        *govern(policy, outside),
        Measure(engines),
        Write(),
        Pick(endpoints, outside.engines),
        # Last: what it writes down is what leaves.
        Settle(outside.journal, policy.version),
    )


def govern(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Count prompts, refuse long ones, and limit, as far as the policy does. Raises: PolicyError when
    nothing keeps count."""
    guards = policy.guards.long_prompts
    if not policy.limits and guards is None:
        return ()
    if outside.governance is None:
        raise PolicyError("limits: there is nothing here to count with")
    count, *limits = outside.governance.filters(policy, outside.engines, outside.clock)
    long = (LongPrompts(guards.rule(), find_guard(outside)),) if guards else ()
    return (count, *long, *(limits if policy.limits else ()))


def ban_addresses(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Look for banned addresses, and count refusals, if the policy wants it. Raises: PolicyError."""
    refusals = policy.guards.refusals
    return (BannedAddress(refusals.rule(), find_guard(outside)),) if refusals else ()


def ban_keys(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Look for banned keys and users. Raises: PolicyError."""
    return (BannedKey(find_guard(outside)),) if policy.guards.refusals else ()


def find_guard(outside: Outside) -> Guard:
    """Raises: PolicyError when nobody guards here."""
    if outside.guard is None:
        raise PolicyError("guards: there is nobody here to ban")
    return outside.guard


def consult(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Ask the authority, if the policy names one. Raises: PolicyError when nobody can reach it."""
    named = policy.access.authority
    if named is None:
        return ()
    if outside.authority is None:
        raise PolicyError("access.authority: there is no way to ask one here")
    return (Consult(outside.authority(named), outside.clock, named.on_fault),)
