"""Shortest queue, as engines tell, with what was sent since; among equals the one that runs fewest."""

from collections.abc import Mapping, Sequence

from extproc.routing.candidate import Asked, Candidate, Rung
from extproc.routing.scored import Scored

RUNNING = 1e-4
"""One that runs weighs so much of one that waits: no engine runs ten thousand."""


class QueueDepth(Scored):
    def weigh(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[float]:
        return [sum(terms.values()) for terms in self.split(asked, among, rung, now_s)]

    def split(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[Mapping[str, float]]:
        del asked
        if rung != "predicted":
            return [{"in_flight": float(each.in_flight)} for each in among]
        fresh_s = now_s - self.settings.fresh_s
        return [
            {
                "waiting": float(each.load.waiting),
                "unseen": float(each.unseen),
                "running": each.load.running * RUNNING,
            }
            if each.seen_s >= fresh_s
            else {"in_flight": float(each.in_flight)}
            for each in among
        ]
