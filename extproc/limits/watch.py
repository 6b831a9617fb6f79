"""Which requests may outrun a limit, so that their answers have to pass before our eyes.

Being watched costs a stream some 0.2 ms for each chunk, and it is asked for before the body is known. So
this remembers how much was left when a limit was last met: where that is ample, nobody is watched.
"""

from collections.abc import Sequence

from extproc.limits.base import Standing
from extproc.limits.reach import FROM_BODY, Reach
from extproc.request import Identity, Model

REMEMBERED = 10_000
"""Scopes that are remembered. Beyond them all is forgotten at once: who is unknown is watched."""

NO_MODEL = Model("", "", "")


class Watched:
    """What is left of the limits that stop answers, as far as this worker has seen."""

    def __init__(self, reaches: Sequence[Reach]) -> None:
        self._stopping = [reach for reach in reaches if reach.stop]
        self._names = {reach.limit.name for reach in self._stopping}
        self._left: dict[tuple[str, str], int] = {}

    def needed(self, identity: Identity) -> bool:
        """Say whether an answer to this client may have to be stopped."""
        return any(
            reach.may_cover(identity) and not self._is_ample(reach, identity)
            for reach in self._stopping
        )

    def _is_ample(self, reach: Reach, identity: Identity) -> bool:
        if not FROM_BODY.isdisjoint(reach.per):
            return False
        scope = reach.scope(identity, NO_MODEL)
        return self._left.get((reach.limit.name, scope), 0) > reach.ample

    def learn(self, standings: Sequence[Standing]) -> None:
        if not self._names:
            return
        if len(self._left) > REMEMBERED:
            self._left.clear()
        for one in standings:
            if one.limit.name in self._names:
                self._left[one.limit.name, one.scope] = one.remaining
