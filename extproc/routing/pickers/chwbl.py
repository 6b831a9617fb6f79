"""Consistent hashing with bounded loads: the beginning of a prompt, or its session, says where to.

As KubeAI's `PrefixHash`, whose defaults `ring.py` has. Engines are not asked anything.
"""

from collections.abc import Sequence

from extproc.routing.candidate import Asked, Candidate, Choice, Terms
from extproc.routing.home import Home
from extproc.routing.ladder import admit, line_up, order
from extproc.routing.settings import PickerSettings


class Chwbl:
    def __init__(self, settings: PickerSettings) -> None:
        self._home = Home(settings)

    def choose(self, asked: Asked, candidates: Sequence[Candidate], now_s: float) -> Choice:
        del now_s
        among = admit(asked, candidates)
        if self._home.key(asked) is not None:
            return self._home.choose(asked, among, candidates)
        costs = [float(each.in_flight) for each in among]
        first = [among[place].endpoint for place in order(asked.key, costs)]
        return Choice(line_up(first, among, candidates), "in_flight")

    def explain(
        self, asked: Asked, candidates: Sequence[Candidate], now_s: float
    ) -> Sequence[Terms]:
        """Places on the ring; without a key, counts."""
        del now_s
        key = self._home.key(asked)
        loads = {each.endpoint: float(each.in_flight) for each in candidates}
        if key is None:
            said = [Terms(e, load, {"in_flight": load}) for e, load in loads.items()]
            return sorted(said, key=lambda terms: terms.cost)
        first = self._home.line(key, candidates)[:1]
        line = dict.fromkeys((*first, *self._home.ring.walk(key)))
        places = [endpoint for endpoint in line if endpoint in loads]
        return [
            Terms(endpoint, float(place), {"place": place, "in_flight": loads[endpoint]})
            for place, endpoint in enumerate(places)
        ]
