"""Any of them: the yardstick."""

from collections.abc import Sequence

from extproc.routing.candidate import Asked, Candidate, Choice, Terms
from extproc.routing.ladder import admit, line_up, order


class Random:
    def choose(self, asked: Asked, candidates: Sequence[Candidate], now_s: float) -> Choice:
        del now_s
        among = admit(asked, candidates)
        first = [among[place].endpoint for place in order(asked.key, [0.0] * len(among))]
        return Choice(line_up(first, among, candidates))

    def explain(
        self, asked: Asked, candidates: Sequence[Candidate], now_s: float
    ) -> Sequence[Terms]:
        line = self.choose(asked, candidates, now_s).endpoints
        costs = {endpoint: float(place) for place, endpoint in enumerate(line)}
        said = [Terms(c.endpoint, costs.get(c.endpoint, float(len(line))), {}) for c in candidates]
        return sorted(said, key=lambda terms: terms.cost)
