"""The cache: whose answers are given again, how long, how alike, and what that costs."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, FiniteFloat, StringConstraints, model_validator

from extproc.cache.key import Sharing
from extproc.cache.questions import Room
from extproc.cache.rules import CacheRule, SemanticRule
from extproc.policy.base import Name, Place, Secret, Strict, Url, Word
from extproc.policy.catalog import read_price
from extproc.policy.limits import DURATION, UNITS_S

USUAL_MB = 256
LONGEST_S = 31 * 86400
MOST_HERE = 1_000_000
"""Questions in the memory of one worker: 1.7 GB in a graph, 3 GB with an exact search."""
USUAL = Room()

Part = Annotated[Decimal, BeforeValidator(read_price), Field(gt=0, lt=1, decimal_places=6)]


def read_duration_s(given: object) -> object:
    """Read `90s`, `5m`, `12h` or `7d`; seconds stay what they are."""
    match = DURATION.fullmatch(given) if isinstance(given, str) else None
    if isinstance(given, str) and match is None:
        raise ValueError(f"{given[:20]!r}: write 30s, 5m, 12h or 7d")
    return int(match[1]) * UNITS_S[match[2]] if match else given


Duration = Annotated[int, BeforeValidator(read_duration_s), Field(ge=0, le=LONGEST_S)]
"""Seconds."""
Collection = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
"""What Milvus allows."""


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


class MilvusPolicy(Strict):
    """A Milvus that workers and gateways share."""

    url: Url
    token: Secret | None = None  # `user:password`, or an API key
    database: Word | None = None
    collection: Collection = "headgate"  # what the names of ours begin with
    deadline_ms: Annotated[int, Field(ge=1, le=4000)] = 100


class QuestionsPolicy(Strict):
    """Where questions are kept that alike ones are looked for among."""

    index: Literal["exact", "hnsw"] | None = None  # in each worker's memory; none: exact
    max: Annotated[int, Field(ge=100, le=100_000_000)] | None = (
        None  # in each worker, or in Milvus; none: 20 000
    )
    max_of_tenant: Annotated[int, Field(ge=100)] | None = None  # none: a quarter of max
    milvus: MilvusPolicy | None = None  # none: the memory of each worker

    @model_validator(mode="after")
    def check_sizes(self) -> Self:
        if self.milvus and self.index:
            raise ValueError("Milvus has an index of its own: leave `index` out")
        if self.milvus is None and self.most > MOST_HERE:
            raise ValueError(f"more than {MOST_HERE} is for Milvus, not for a worker's memory")
        if (self.max_of_tenant or 0) > self.most:
            raise ValueError("max_of_tenant is more than max")
        return self

    @property
    def most(self) -> int:
        return self.max or USUAL.most

    @property
    def room(self) -> Room:
        """An exact search looks at all there is: so there is a bound on that."""
        of_tenant = self.max_of_tenant or self.most // 4
        looks_at_all = self.milvus is None and self.index != "hnsw"
        return Room(self.most, of_tenant, USUAL.most_of_conversation if looks_at_all else of_tenant)


class CachePolicy(Strict):
    """Off while there are no rules."""

    key: Secret | None = None  # of keys in the store, the same in every replica; none: of `salt`
    rules: tuple[CacheRulePolicy, ...] = ()
    embedding: EmbeddingPolicy | None = None  # none: the embedded model
    questions: QuestionsPolicy = QuestionsPolicy()
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
