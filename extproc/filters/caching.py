"""The filters of the cache, put together from a policy."""

import hashlib
from collections.abc import Callable, Sequence

from extproc.cache.base import Answers
from extproc.cache.embedding import Asked, Embedded, Embedder, EngineEmbedder, missing
from extproc.cache.flights import Flights
from extproc.cache.keeper import Keeper
from extproc.cache.key import Keys
from extproc.cache.turn import Likeness
from extproc.counting.engine import EngineClient
from extproc.errors import PolicyError
from extproc.filter import Filter
from extproc.filters.cache import Cache, Caching, ServeHit
from extproc.filters.collect import Collect
from extproc.policy.cache import CachePolicy, EmbeddingPolicy
from extproc.policy.models import Policy
from extproc.ports import CacheMeter, EngineView

MISSING = (
    "cache.rules.semantic: {} is not installed: install it, or name engines "
    "that make vectors in cache.embedding"
)

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


class Listening:
    """Makes what hears how texts sound, when a policy first wants it. What it has heard outlives
    policies, as long as the vectors are of the same kind."""

    def __init__(self, client: EngineClient, view: EngineView) -> None:
        self._client = client
        self._view = view
        self._made: tuple[EmbeddingPolicy | None, Likeness] | None = None

    def of(self, policy: CachePolicy) -> Likeness | None:
        """Raises: PolicyError when something is not installed."""
        if not policy.is_semantic:
            return None
        if self._made is None or self._made[0] != policy.embedding:
            # numpy takes 0.1 s and 20 MB that no other policy needs.
            try:
                from extproc.cache.semantic import Semantic  # noqa: PLC0415 - an extra, see above
            except ImportError:
                raise PolicyError(MISSING.format("numpy")) from None
            self._made = policy.embedding, Semantic(self._embedder(policy.embedding))
        return self._made[1]

    def _embedder(self, policy: EmbeddingPolicy | None) -> Embedder:
        if policy is None:
            if name := missing():
                raise PolicyError(MISSING.format(name))
            embedded = Embedded()
            embedded.begin()
            return embedded
        asked = Asked(policy.pool, policy.model, policy.deadline_ms / 1000)
        return EngineEmbedder(lambda: self._client.session, self._endpoints, asked)

    def _endpoints(self, pool: str) -> Sequence[str]:
        return [each.endpoint for each in self._view.candidates(pool)]
