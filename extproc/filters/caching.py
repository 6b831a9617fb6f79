"""The filters of the cache, put together from a policy."""

import hashlib
from collections.abc import Callable, Sequence

from extproc.cache.base import Answers
from extproc.cache.flights import Flights
from extproc.cache.keeper import Keeper
from extproc.cache.key import Keys
from extproc.errors import PolicyError
from extproc.filter import Filter
from extproc.filters.cache import Cache, Caching
from extproc.filters.collect import Collect
from extproc.filters.serve import ServeHit
from extproc.policy.models import Policy
from extproc.ports import CacheMeter, EngineView

BESIDE = {
    *("keys", "issuers", "services", "tenants", "access", "limits", "priorities"),
    *("guards", "alerts", "explain", "ledger", "pools", "cache"),
}
"""Sections of a policy that change no answer. One that is new changes them, until it stands here."""


def make_caching(answers: Answers, meter: CacheMeter) -> Caching:
    """Make what outlives policies."""
    return Caching(answers, Flights(), Keeper(answers, meter), meter)


def collect(policy: Policy, caching: Caching | None) -> Sequence[Filter]:
    """Before all that rewrites answers: keep a copy of those that are wanted."""
    return (Collect(caching.keeper),) if policy.cache.rules and caching else ()


def cache(
    policy: Policy, caching: Caching | None, view: EngineView, clock: Callable[[], float]
) -> Sequence[Filter]:
    """Look up and fill, if the policy wants it. Raises: PolicyError when nothing is kept here."""
    if not policy.cache.rules:
        return ()
    if caching is None:
        raise PolicyError("cache: there is nothing here to keep answers in")
    if policy.cache.is_semantic and caching.keeper.likeness is None:
        raise PolicyError("cache.semantic: there is nothing here that hears what sounds alike")
    rules = policy.cache.compiled_rules()
    elsewhere = frozenset(pool.name for pool in policy.pools if pool.upstream)
    return (Cache(rules, keys_of(policy), caching, view, elsewhere, clock),)


def serve(policy: Policy) -> Sequence[Filter]:
    """Behind limits: give the hits that take from them."""
    return (ServeHit(),) if any(rule.charge_limits for rule in policy.cache.rules) else ()


def keys_of(policy: Policy) -> Keys:
    """Make keys as all workers and commands do that have the same policy."""
    said = policy.model_dump_json(exclude=BESIDE).encode()
    secret = policy.cache.key.reveal() if policy.cache.key else policy.salt
    return Keys(secret, hashlib.sha256(said).hexdigest())
