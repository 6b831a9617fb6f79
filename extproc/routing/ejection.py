"""How many of a pool may be out at once. A breaker knows one endpoint; here they are seen together.

* Those that leave (Kubernetes is terminating them) or refuse connections are out, however many.
* Of the others never more than a share of the pool, with those that refuse counted in: whoever is
  least bad comes back first. One always stays.
* What is full, or silent, is so in comparison with others. When more than that share are, then the
  whole pool is busy, or it is our looks that fail: nobody is out for it.
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


COMPARED = (Fitness.FULL, Fitness.SILENT)


def find_out(unfit: Mapping[str, Fitness], count: int, most_out: float, gone: int = 0) -> set[str]:
    """Name those that are out, of `count`; who is not mentioned is fit. All of them only when all leave
    or refuse. `gone`: how many more the pool has, which are out already."""
    out = {name for name, each in unfit.items() if each >= Fitness.REFUSING}
    leaving = sum(each is Fitness.LEAVING for each in unfit.values())
    most = int(most_out * (count + gone - leaving) + 1e-9)
    counts = Counter(unfit.values())
    ignored = {each for each in COMPARED if counts[each] > most}
    bad = [name for name, each in unfit.items() if name not in out and each not in ignored]
    bad.sort(key=unfit.__getitem__, reverse=True)
    room = max(0, min(most - counts[Fitness.REFUSING] - gone, count - len(out) - 1))
    return out.union(bad[:room])
