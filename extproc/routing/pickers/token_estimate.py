"""Fewest prompt tokens under way, by our own counts: a long prompt weighs more than a short one."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from extproc.routing.candidate import Asked, Candidate, Rung
from extproc.routing.scored import Scored


class TokenEstimate(Scored):
    looks: ClassVar[bool] = False

    def weigh(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[float]:
        del asked, rung, now_s
        return [float(each.in_flight_tokens) for each in among]

    def split(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[Mapping[str, float]]:
        del asked, rung, now_s
        return [{"in_flight_tokens": float(each.in_flight_tokens)} for each in among]
