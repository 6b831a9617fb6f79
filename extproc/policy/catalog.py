"""What there is to use: pools of engines, models on tracks, prices, rules for parameters."""

import json
from decimal import Decimal
from typing import Annotated, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FiniteFloat,
    JsonValue,
    StringConstraints,
    model_validator,
)

from engines.base import ENGINES
from engines.kind import EngineName
from extproc.policy.access import OperationName
from extproc.policy.base import Endpoint, Name, Strict, Word
from extproc.policy.counting import ImagePolicy, TokenizerPolicy
from extproc.policy.discovery import KvEventsPolicy, RoleName, SourcePolicy
from extproc.policy.fallback import CascadePolicy, Chain, DowngradePolicy, HedgePolicy
from extproc.policy.health import HealthPolicy
from extproc.policy.picking import PickerPolicy
from extproc.policy.upstream import KEY_HEADERS, UpstreamPolicy


def read_price(given: object) -> object:
    """Take what was typed. YAML reads 0.15 as a binary fraction; the shortest decimal that stands
    for it has the digits that were typed, as long as these are 15 or fewer."""
    if isinstance(given, bool):
        raise ValueError("a number belongs here")  # noqa: TRY004 - pydantic collects ValueErrors only
    return repr(given) if isinstance(given, float) else given


Price = Annotated[Decimal, BeforeValidator(read_price), Field(ge=0, le=10_000, decimal_places=6)]
"""US dollars for a million tokens, exact. With six decimals every cost is a whole number of 1e-12
dollars, and with this maximum those of the longest requests add up within 64 bits."""
Amount = Annotated[FiniteFloat, Field(gt=0, le=1e9)]
Text = Annotated[str, StringConstraints(min_length=1)]
Silence = Annotated[FiniteFloat, Field(ge=1, le=3600)]
SILENCE_S = 600.0
"""As long as the OpenAI SDKs wait."""
Modality = Literal["text", "image", "audio", "video"]
Sharing = Literal["tenant", "project", "user", "pool"]
"""Within what prompts share cached prefixes; `pool`: all of it."""
Parameter = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A member of request bodies, an engine's own extensions among them."""

CARRIERS = frozenset({"model", "messages", "prompt", "input"})
"""What a request consists of: no rule about parameters may touch them."""
PLUMBING = frozenset({"stream", "stream_options", "system", "instructions"})
"""What decides how an answer travels, and where the system prompt stands: may be forbidden, not set."""


def check_settable(name: str) -> str:
    if name in CARRIERS | PLUMBING:
        raise ValueError("cannot be set or clamped by a rule")
    return name


def check_forbiddable(name: str) -> str:
    if name in CARRIERS:
        raise ValueError("cannot be forbidden: a request consists of it")
    return name


def check_given(value: JsonValue) -> JsonValue:
    if value is None:
        raise ValueError("has no value: leave it out")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError("JSON has no infinity and no 'not a number'") from None
    return value


Settable = Annotated[Parameter, AfterValidator(check_settable)]
Forbidden = Annotated[Parameter, AfterValidator(check_forbiddable)]
Defaults = dict[Settable, Annotated[JsonValue, AfterValidator(check_given)]]
Clamps = dict[Settable, "Bounds"]


class LabelsPolicy(Strict):
    """What the ledger is to know of an endpoint: where it runs, and what running it costs."""

    cluster: Word | None = None
    gpu: Word | None = None  # its kind: H100, L4
    gpus: Annotated[int, Field(ge=1, le=1024)] | None = None  # how many it has; none: 1
    prefill_tokens_per_s: Amount | None = None  # both rates together give GPU time
    decode_tokens_per_s: Amount | None = None
    watts: Amount | None = None  # of one GPU: energy
    usd_per_gpu_hour: Amount | None = None
    usd_per_kwh: Amount | None = None

    @model_validator(mode="after")
    def check_rates(self) -> Self:
        if (self.prefill_tokens_per_s is None) != (self.decode_tokens_per_s is None):
            raise ValueError("give both prefill_tokens_per_s and decode_tokens_per_s, or neither")
        return self


class PoolPolicy(Strict):
    """Endpoints that serve the same model version."""

    name: Word
    engine: EngineName = "vllm"
    endpoints: tuple[Endpoint, ...] = ()
    discover: tuple[SourcePolicy, ...] = ()  # who names more of them
    upstream: UpstreamPolicy | None = None  # a service elsewhere, in place of both
    endpoint_roles: dict[Endpoint, RoleName] = Field(default_factory=dict)  # none: both
    kv_events: KvEventsPolicy | None = None  # where they tell of their caches
    cache_sharing: Sharing = "tenant"  # whose prompts may share cached prefixes
    labels: LabelsPolicy = LabelsPolicy()
    endpoint_labels: dict[Endpoint, LabelsPolicy] = Field(default_factory=dict)  # where they differ
    health: HealthPolicy = HealthPolicy()
    picker: PickerPolicy = PickerPolicy()
    silence_s: Silence = SILENCE_S  # no byte for so long is the end; see docs/dataplane.md

    @property
    def picking(self) -> PickerPolicy:
        """How endpoints are chosen. To all pickers but one, roles say nothing: where the policy has
        them and names no algorithm, it is that one."""
        roles = (*self.endpoint_roles.values(), *(source.role for source in self.discover))
        if set(roles) <= {"both"} or "algorithm" in self.picker.model_fields_set:
            return self.picker
        return self.picker.model_copy(update={"algorithm": "disaggregated"})

    @model_validator(mode="after")
    def check_endpoints(self) -> Self:
        here = bool(self.endpoints or self.discover)
        if here and self.upstream:
            raise ValueError("give endpoints or an upstream, not both")
        if not here and not self.upstream:
            raise ValueError("give endpoints, or discover them")
        if self.engine in KEY_HEADERS and not self.upstream:
            raise ValueError(f"engine {self.engine}: say in upstream where it is")
        if self.upstream and self.engine != self.upstream.dialect:
            raise ValueError("the engine of an upstream is its dialect: leave it out")
        if self.upstream and self.silence_s != SILENCE_S:
            raise ValueError("silence_s: of a service elsewhere it stands in upstream")
        if self.kv_events and not ENGINES[self.engine].kv_events:
            raise ValueError(f"kv_events: {self.engine} does not publish any")
        if strangers := sorted(set(self.endpoint_roles) - set(self.endpoints)):
            raise ValueError(f"endpoint_roles: {strangers[0]} is no endpoint of this pool")
        return self

    @model_validator(mode="before")
    @classmethod
    def name_engine(cls, given: object) -> object:
        """A service elsewhere is of the kind of its dialect."""
        asis = given
        if not isinstance(given, dict) or "engine" in given:
            return asis
        members = cast("dict[str, object]", given)
        where = members.get("upstream")
        if not isinstance(where, dict):
            return members
        return {**members, "engine": cast("dict[str, object]", where).get("dialect", "openai")}

    @model_validator(mode="after")
    def check_labelled(self) -> Self:
        if strangers := sorted(set(self.endpoint_labels) - set(self.endpoints)):
            raise ValueError(f"endpoint_labels: {strangers[0]} is no endpoint of this pool")
        return self

    def labels_of(self, endpoint: str) -> dict[str, str | float]:
        """Join what is known of one endpoint with what holds for all; nothing that is not known."""
        own = self.endpoint_labels.get(endpoint, LabelsPolicy())
        both = (self.labels.model_dump(exclude_none=True), own.model_dump(exclude_none=True))
        return both[0] | both[1]


class PricePolicy(Strict):
    """In US dollars for a million tokens."""

    input_usd: Price
    output_usd: Price
    cached_usd: Price | None = None  # for cached prompt tokens; none: as input

    def __str__(self) -> str:
        """`0.15/0.075/0.6`: input, cached, output, as it travels to the ledger with each request."""
        cached = self.input_usd if self.cached_usd is None else self.cached_usd
        return "/".join(f"{usd.normalize():f}" for usd in (self.input_usd, cached, self.output_usd))


class TrackPolicy(Strict):
    """One version of a model in service."""

    track: Literal["stable", "canary"]
    pool: Word
    version: Word
    weight: Annotated[int, Field(ge=0, le=1000)] = 100  # share of users; relative to the others
    served_as: Text | None = None  # what its engines call it; none: as the model says


class Bounds(Strict):
    """A number a client sends is moved into these bounds."""

    min: int | FiniteFloat | None = None
    max: int | FiniteFloat | None = None

    @model_validator(mode="after")
    def check_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class ParameterRule(Strict):
    """What becomes of request parameters, for members of the groups (none: for everybody). Later
    rules see what earlier ones did."""

    groups: tuple[Word, ...] = ()
    operations: tuple[OperationName, ...] = ()  # none: all
    defaults: Defaults = Field(default_factory=dict)  # set where the client sent nothing
    clamp: Clamps = Field(default_factory=dict)  # a maximum of tokens holds for those who ask none
    forbid: tuple[Forbidden, ...] = ()  # 400, with the parameter's name
    system_prompt: Text | None = None  # always first and always the same: prefix caches keep it

    @model_validator(mode="after")
    def check_effect(self) -> Self:
        if not (self.defaults or self.clamp or self.forbid or self.system_prompt):
            raise ValueError("does nothing: give defaults, clamp, forbid or system_prompt")
        return self


class ModelPolicy(Strict):
    """A public name. It is served by a pool, or by several on tracks."""

    name: Name  # what clients call it
    aliases: tuple[Name, ...] = ()
    pool: Word | None = None  # one version only; else give tracks
    version: Word | None = None
    served_as: Text | None = None  # what the engines call it; the same, if left out
    adapter: bool = False  # it is a LoRA adapter of what the engines serve, under that name
    tracks: tuple[TrackPolicy, ...] = ()
    context_tokens: Annotated[int, Field(ge=1)] | None = None  # prompt and completion together
    modalities: tuple[Modality, ...] = ()  # what prompts may hold; none: the engine decides
    price: PricePolicy | None = None
    tokenizer: TokenizerPolicy | None = None  # how limits count prompts; none: estimated
    images: ImagePolicy | None = None  # what an image counts; none: 765
    parameters: tuple[ParameterRule, ...] = ()
    fallback: Chain = ()  # models that serve when its engines fail, in order
    downgrade: tuple[DowngradePolicy, ...] = ()  # lesser models, for tenants that accept them
    hedge: HedgePolicy | None = None  # none: nothing is asked twice
    cascade: CascadePolicy | None = None  # a smaller model that is asked first

    @model_validator(mode="after")
    def check_tracks(self) -> Self:
        if (self.pool is None) == (not self.tracks):
            raise ValueError("give exactly one of pool and tracks")
        if self.tracks and self.version is not None:
            raise ValueError("give the version of each track, not of the model")
        names = [track.track for track in self.tracks]
        if len(set(names)) != len(names):
            raise ValueError("a track stands twice")
        if self.tracks and not any(track.weight for track in self.tracks):
            raise ValueError("no track has any weight")
        return self

    def in_service(self) -> tuple[TrackPolicy, ...]:
        """All tracks; a model without any is on `stable` alone."""
        if self.tracks:
            named = {"served_as": self.served_as}
            return tuple(t if t.served_as else t.model_copy(update=named) for t in self.tracks)
        assert self.pool is not None
        return (
            TrackPolicy(
                track="stable",
                pool=self.pool,
                version=self.version or "1",
                served_as=self.served_as,
            ),
        )
