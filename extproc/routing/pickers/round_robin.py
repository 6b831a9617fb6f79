"""Each in turn, the next ones in line for retries."""

from collections.abc import Sequence
from zlib import crc32

from extproc.routing.candidate import TRIES, Asked, Candidate, Choice, Terms
from extproc.routing.ladder import admit, line_up


class RoundRobin:
    """Workers begin at different places, by their first request: after a reload they would all fall
    on the same endpoint."""

    def __init__(self) -> None:
        self._turn = -1

    def choose(self, asked: Asked, candidates: Sequence[Candidate], now_s: float) -> Choice:
        del now_s
        among = admit(asked, candidates)
        if self._turn < 0:
            self._turn = crc32(asked.key.encode("utf-8", "surrogatepass"))
        line = self._line(among)
        self._turn += 1
        return Choice(line_up(line, among, candidates))

    def explain(
        self, asked: Asked, candidates: Sequence[Candidate], now_s: float
    ) -> Sequence[Terms]:
        del asked, now_s
        start = max(self._turn, 0) % len(candidates)
        line = (*candidates[start:], *candidates[:start])
        return [Terms(e.endpoint, float(place), {"turn": place}) for place, e in enumerate(line)]

    def _line(self, among: Sequence[Candidate]) -> Sequence[str]:
        start = self._turn % len(among)
        line = (*among[start : start + TRIES], *among[:start])
        return [each.endpoint for each in line[:TRIES]]
