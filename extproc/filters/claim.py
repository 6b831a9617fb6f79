"""What a request claims of the limits that are for it. Pure; used by `filters/limits.py`."""

from collections.abc import Sequence

import msgspec

from extproc.counting.counted import Counted
from extproc.filter import AnswerMode, Shown
from extproc.limits.amounts import Estimate
from extproc.limits.base import Charge, Ticket
from extproc.limits.reach import Reach
from extproc.limits.stop import SLICE_TOKENS
from extproc.request import Body, Identity, Kind, Model, Operation, Prompt, Request

FREE = frozenset({Kind.COUNT_TOKENS})
"""Operations that use no tokens; they count as requests."""


class Claim(msgspec.Struct, frozen=True):
    """What is to be reserved for one request."""

    request: Request
    charges: Sequence[Charge]
    sliced: Sequence[Charge]
    """Of those the ones that are taken slice by slice."""
    estimate: Estimate
    """Of a watched one with its first slice alone."""
    ticket: Ticket | None
    """If it may wait."""


def make_claim(request: Request, met: Sequence[Reach], ticket: Ticket | None) -> Claim:
    """What is watched asks limits that may stop it for its first slice, and what is not for its longest
    answer: nobody could stop it."""
    identity, model = request.fact(Identity), request.fact(Model)
    estimate = estimate_of(request)
    watches = is_watched(request)
    first = estimate.first(SLICE_TOKENS) if watches else estimate
    charges = [
        Charge(
            reach.limit,
            reach.scope(identity, model),
            (first if reach.stop else estimate).amount(
                reach.limit, in_full=reach.stop and not watches
            ),
        )
        for reach in met
    ]
    sliced = [c for c, reach in zip(charges, met, strict=True) if reach.stop and watches]
    return Claim(request, charges, sliced, first, ticket)


def is_watched(request: Request) -> bool:
    """Say whether the answer passes before our eyes, event by event."""
    shown = request.find(Shown)
    return shown is not None and shown.mode is AnswerMode.DUPLEX and request.fact(Prompt).stream


def estimate_of(request: Request) -> Estimate:
    """Put together what is known of a request's size."""
    if request.fact(Operation).kind in FREE:
        return Estimate(0, 0, 0, 0)
    counted = request.fact(Counted)
    longest = counted.prompt_tokens
    if counted.counted_by == "estimate":  # no token is shorter than a byte
        longest = max(longest, len(request.fact(Body).raw))
    return Estimate(
        counted.prompt_tokens,
        longest,
        counted.likely_tokens,
        counted.most_tokens,
        request.fact(Model).price,
    )
