"""What there is to use: pools of engines, models on tracks, prices, rules for parameters."""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from extproc.policy.base import Endpoint, Name, Strict, Word

Price = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9)]
"""US dollars for a million tokens, exact."""
Served = Annotated[str, StringConstraints(min_length=1)]
Modality = Literal["text", "image", "audio"]
Parameter = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class PoolPolicy(Strict):
    """Endpoints that serve the same model version."""

    name: Word
    engine: Literal["vllm", "sim"] = "vllm"
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)]


class PricePolicy(Strict):
    """In US dollars for a million tokens."""

    input_usd: Price
    output_usd: Price
    cached_usd: Price | None = None  # for cached prompt tokens; none: as input


class TrackPolicy(Strict):
    """One version of a model in service."""

    track: Literal["stable", "canary"]
    pool: Word
    version: Word
    weight: Annotated[int, Field(ge=0, le=1000)] = 100  # share of users; relative to the others
    served_as: Served | None = None  # what its engines call it; none: as the model


class Bounds(Strict):
    """A number a client sends is moved into these bounds."""

    min: float | None = None
    max: float | None = None

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
    defaults: dict[Parameter, Any] = Field(
        default_factory=dict
    )  # set where the client sent nothing
    clamp: dict[Parameter, Bounds] = Field(default_factory=dict)
    forbid: tuple[Parameter, ...] = ()  # 400, with the parameter's name
    system_prompt: str | None = None  # always first and always the same: prefix caches keep it


class ModelPolicy(Strict):
    """A public name. It is served by a pool, or by several on tracks."""

    name: Name  # what clients call it
    aliases: tuple[Name, ...] = ()
    pool: Word | None = None  # one version only; else give tracks
    version: Word | None = None
    served_as: Served | None = None  # what the engines call it; the same, if left out
    tracks: tuple[TrackPolicy, ...] = ()
    context_tokens: Annotated[int, Field(ge=1)] | None = None  # prompt and completion together
    modalities: tuple[Modality, ...] = ("text",)
    price: PricePolicy | None = None
    parameters: tuple[ParameterRule, ...] = ()

    @model_validator(mode="after")
    def check_tracks(self) -> Self:
        if (self.pool is None) == (not self.tracks):
            raise ValueError("give exactly one of pool and tracks")
        names = [track.track for track in self.tracks]
        if len(set(names)) != len(names):
            raise ValueError("a track stands twice")
        if self.tracks and not any(track.weight for track in self.tracks):
            raise ValueError("no track has any weight")
        return self

    def in_service(self) -> tuple[TrackPolicy, ...]:
        """All tracks; a model without any is on `stable` alone."""
        if self.tracks:
            return self.tracks
        assert self.pool is not None
        return (
            TrackPolicy(
                track="stable",
                pool=self.pool,
                version=self.version or "1",
                served_as=self.served_as,
            ),
        )
