"""Fewest requests under way, by our own counts: Envoy's and KubeAI's (`LeastLoad`) classic."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from extproc.routing.candidate import Asked, Candidate, Rung
from extproc.routing.scored import Scored


class LeastRequest(Scored):
    looks: ClassVar[bool] = False

    def weigh(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[float]:
        del asked, rung, now_s
        return [float(each.in_flight) for each in among]

    def split(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[Mapping[str, float]]:
        del asked, rung, now_s
        return [{"in_flight": float(each.in_flight)} for each in among]
