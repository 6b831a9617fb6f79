"""Which models stand in for which: when engines fail, and when there is too much or too dear work."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from extproc.policy.base import Name, Place, Strict

Chain = Annotated[tuple[Name, ...], Field(max_length=8)]


class DowngradePolicy(Strict):
    """A lesser model in place of this one, for tenants that accept it. The first that applies, and
    whose engines are not saturated themselves, is taken: write precisions before smaller models."""

    to: Name
    when: Literal["saturated", "budget"]
    at: Annotated[FiniteFloat, Field(gt=0, le=1)] = 0.9  # share of the engines, or of the budget


class HedgePolicy(Strict):
    """Ask a second endpoint when the first is slow. For answers in one piece, not for streams."""

    after_s: Annotated[FiniteFloat, Field(gt=0, le=600)] | None = None  # none: the model's p95
    max_prompt_tokens: Annotated[int, Field(ge=1, le=100_000)] = 512
    max_share: Annotated[FiniteFloat, Field(gt=0, le=0.5)] = 0.05  # of such requests


class CascadePolicy(Strict):
    """Ask a small model first, and keep its answer where it is sure of it. Not for streams."""

    first: Name
    min_confidence: Annotated[FiniteFloat, Field(gt=0, le=1)] = 0.9  # mean probability of a token
    max_prompt_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    within_s: Annotated[FiniteFloat, Field(gt=0, le=25)] = 5.0  # then the large one is asked


Given = Sequence[tuple[str, Sequence[str], Sequence[DowngradePolicy]]]
"""Of each model: name, chain, downgrades."""


def check_chains(given: Given) -> Iterable[tuple[Place, str]]:
    """Find names that nobody has, or that lead nowhere new."""
    names = {name for name, _, _ in given}
    for index, (own, chain, downgrades) in enumerate(given):
        named: Mapping[str, Sequence[str]] = {
            "fallback": chain,
            "downgrade": [each.to for each in downgrades],
        }
        for member, others in named.items():
            for number, other in enumerate(others):
                place: Place = ("models", index, member, number)
                if other not in names:
                    yield place, f"there is no model {other!r}"
                elif other == own:
                    yield place, "a model cannot stand in for itself"
                elif member == "fallback" and other in others[:number]:
                    yield place, f"{other!r} stands twice"


def check_cascades(given: Mapping[str, CascadePolicy | None]) -> Iterable[tuple[Place, str]]:
    """Find first models that nobody has, or that would ask one more themselves."""
    for index, cascade in enumerate(given.values()):
        place: Place = ("models", index, "cascade", "first")
        if cascade is None:
            continue
        if cascade.first not in given:
            yield place, f"there is no model {cascade.first!r}"
        elif given[cascade.first] is not None:
            yield place, f"{cascade.first!r} has a cascade itself"
