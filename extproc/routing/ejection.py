"""How many of a pool may be out at once. A breaker knows one endpoint; here they are seen together.

* Those that leave (Kubernetes is terminating them) or refuse connections are out, however many.
* Of the others never more than a share of the pool, with those that refuse counted in: whoever is
  least bad comes back first. One always stays.
* What is full is so in comparison with others. When more than that share are, the whole pool is busy:
  nobody is out for it. When not one answers its probes, it is our looks that fail: the same.
"""

from collections import Counter
from collections.abc import Mapping
from enum import IntEnum


class Fitness(IntEnum):
    """The larger, the worse."""

    FIT = 0
    FULL = 1
    SLOW = 2
    FAILING = 3
    SILENT = 4
    """It does not answer its probes, or says itself that it is not well."""
    REFUSING = 5
    LEAVING = 6


def find_out(unfit: Mapping[str, Fitness], count: int, most_out: float) -> set[str]:
    """Name those that are out, of `count`; who is not mentioned is fit. All of them only when all leave
    or refuse."""
    out = {name for name, each in unfit.items() if each >= Fitness.REFUSING}
    counts = Counter(unfit.values())
    most = int(most_out * (count - counts[Fitness.LEAVING]) + 1e-9)
    ignored = set[Fitness]()
    if counts[Fitness.FULL] > most:
        ignored.add(Fitness.FULL)
    if counts[Fitness.SILENT] + len(out) == count:
        ignored.add(Fitness.SILENT)
    bad = [name for name, each in unfit.items() if name not in out and each not in ignored]
    bad.sort(key=unfit.__getitem__, reverse=True)
    room = max(0, min(most - counts[Fitness.REFUSING], count - len(out) - 1))
    return out.union(bad[:room])
