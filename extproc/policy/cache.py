"""The cache: whose answers are given again, how long, how alike, and what that costs."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, FiniteFloat

from extproc.cache.key import Sharing
from extproc.cache.rules import CacheRule, SemanticRule
from extproc.policy.base import Name, Place, Secret, Strict, Word
from extproc.policy.catalog import read_price
from extproc.policy.limits import DURATION, UNITS_S

USUAL_MB = 256
LONGEST_S = 31 * 86400

Part = Annotated[Decimal, BeforeValidator(read_price), Field(gt=0, lt=1, decimal_places=6)]


def read_duration_s(given: object) -> object:
    """Read `90s`, `5m`, `12h` or `7d`; seconds stay what they are."""
    match = DURATION.fullmatch(given) if isinstance(given, str) else None
    if isinstance(given, str) and match is None:
        raise ValueError(f"{given[:20]!r}: write 30s, 5m, 12h or 7d")
    return int(match[1]) * UNITS_S[match[2]] if match else given


Duration = Annotated[int, BeforeValidator(read_duration_s), Field(ge=0, le=LONGEST_S)]
"""Seconds."""


class SemanticPolicy(Strict):
    """Also questions that only sound alike. A guard compares numbers, names, negations and every other
    word of weight."""

    threshold: Annotated[FiniteFloat, Field(ge=0.5, le=1)] = 0.75  # cosine of their vectors


class CacheRulePolicy(Strict):
    """For whom answers are kept. Of several rules that are for a request, the first counts."""

    tenants: tuple[Word, ...] = ()  # none: everybody; each finds only their own answers
    models: tuple[Name, ...] = ()
    ttl: Duration = 3600  # 90s, 5m, 12h, 7d
    share: Sharing = "tenant"  # within what answers are found: tenant, project or user
    max_temperature: Annotated[FiniteFloat, Field(ge=0, le=2)] = 0.3  # who names none asks for 1
    bill: Literal["free", "full"] | Part = "free"  # or the part of the price, such as 0.1
    charge_limits: bool = False  # whether hits take from limits
    stale_if_error: Duration = 0  # how long beyond ttl, where no engine can answer
    wait_s: Annotated[FiniteFloat, Field(ge=0, le=25)] = 5.0  # for the answer to an equal request
    max_kb: Annotated[int, Field(ge=1, le=1024)] = 128  # of an answer
    semantic: SemanticPolicy | None = None

    def rule(self) -> CacheRule:
        parts = {"free": Decimal(0), "full": Decimal(1)}
        return CacheRule(
            tenants=frozenset(self.tenants),
            models=frozenset(self.models),
            ttl_s=self.ttl,
            sharing=self.share,
            most_temperature=self.max_temperature,
            bill=parts[self.bill] if isinstance(self.bill, str) else self.bill,
            charge_limits=self.charge_limits,
            stale_if_error_s=self.stale_if_error,
            wait_s=self.wait_s,
            most_bytes=self.max_kb * 1024,
            semantic=SemanticRule(self.semantic.threshold) if self.semantic else None,
        )


class EmbeddingPolicy(Strict):
    """Engines of ours that turn texts into vectors, in place of the embedded model."""

    pool: Name
    model: Name  # as the engines know it
    deadline_ms: Annotated[int, Field(ge=1, le=4000)] = 100


class CachePolicy(Strict):
    """Off while there are no rules."""

    key: Secret | None = None  # of keys in the store, the same in every replica; none: of `salt`
    rules: tuple[CacheRulePolicy, ...] = ()
    embedding: EmbeddingPolicy | None = None  # none: the embedded model
    max_mb: Annotated[int, Field(ge=1, le=65536)] | None = (
        None  # of all answers in the store; none: 256
    )

    def compiled_rules(self) -> Sequence[CacheRule]:
        return [each.rule() for each in self.rules]

    @property
    def most_bytes(self) -> int:
        return (self.max_mb or USUAL_MB) * 1024 * 1024

    @property
    def is_semantic(self) -> bool:
        return any(each.semantic for each in self.rules)


def check_cache(
    cache: CachePolicy, known: Mapping[str, AbstractSet[str]]
) -> Iterable[tuple[Place, str]]:
    """Find what points nowhere. `known` names the tenants, models and pools there are."""
    for index, rule in enumerate(cache.rules):
        for member in ("tenants", "models"):
            for unknown in sorted(set(getattr(rule, member)) - known[member]):
                yield ("cache", "rules", index, member), f"there is no {member[:-1]} {unknown!r}"
    if cache.embedding and cache.embedding.pool not in known["pools"]:
        said = f"there is no pool {cache.embedding.pool!r}"
        yield ("cache", "embedding", "pool"), said
