"""Pickers that give every candidate a number and take the smallest."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from extproc.routing.candidate import Asked, Candidate, Choice, Picker, Rung, Terms
from extproc.routing.home import Home
from extproc.routing.ladder import admit, find_rung, line_up, order
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import PickerSettings


class Scored(Picker):
    """`weigh` and `split` must be written."""

    looks: ClassVar[bool] = True
    """Whether it goes by what engines tell; else by our own counts, which are always there."""

    def __init__(self, settings: PickerSettings, prefixes: Prefixes) -> None:
        self.settings = settings
        self.prefixes = prefixes
        self._home = Home(settings)

    @abstractmethod
    def weigh(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[float]:
        """Say the cost of each: the smaller the better. `rung` is `predicted` or `in_flight`."""
        ...

    @abstractmethod
    def split(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[Mapping[str, float]]:
        """Say what each cost is made of."""
        ...

    def choose(self, asked: Asked, candidates: Sequence[Candidate], now_s: float) -> Choice:
        among = admit(asked, candidates)
        rung = self._rung(candidates, now_s)
        if rung == "hash":
            return self._home.choose(asked, among, candidates)
        costs = self.weigh(asked, among, rung, now_s)
        first = [among[place].endpoint for place in order(asked.key, costs)]
        return Choice(line_up(first, among, candidates), rung)

    def explain(
        self, asked: Asked, candidates: Sequence[Candidate], now_s: float
    ) -> Sequence[Terms]:
        rung = self._rung(candidates, now_s)
        if rung == "hash":
            rung = "in_flight"
        costs = self.weigh(asked, candidates, rung, now_s)
        parts = self.split(asked, candidates, rung, now_s)
        said = [
            Terms(each.endpoint, cost, terms)
            for each, cost, terms in zip(candidates, costs, parts, strict=True)
        ]
        return sorted(said, key=lambda terms: terms.cost)

    def _rung(self, candidates: Sequence[Candidate], now_s: float) -> Rung:
        return find_rung(candidates, now_s, self.settings) if self.looks else "in_flight"
