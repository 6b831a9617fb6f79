"""What eight endpoints can do: `python -m study.capacity` writes it into `tuned.json`.

Loads of the study are percent of this: requests completed in a second in a closed loop without pauses, by
the best of three pickers, none of them ours, with their defaults, on seeds of their own. So 110 % is
more than anybody can do, and at 95 % one that wastes the cache is already overloaded.
"""

from itertools import product

import msgspec

from extproc.routing.settings import DEFAULTS
from study.cases import CASES, REPLICAS, Case
from study.measure import Window
from study.plan import Spec
from study.run import RAMP_S, simulate
from study.threads import Closed, Thread
from study.tuned import read, write

SEEDS = (1,)
PICKERS = ("least_request", "chwbl", "weighted")
THREADS = (64, 128, 224)
"""For each endpoint. What is best depends: longer batches are more efficient, until caches overflow."""
WINDOW = Window(60.0, 100.0, 100.0)
SAMPLE = 2000
"""Threads whose requests are counted."""


def main() -> None:
    """Every case with an open loop."""
    cases = [case for case in CASES.values() if not case.threads]
    turns = {case.title: requests_per_thread(case) for case in cases}
    capacity = {case.title: requests_per_s(case) for case in cases}
    write(msgspec.structs.replace(read(), capacity=capacity, turns=turns))
    for title, found in capacity.items():
        print(f"{title:8} {found:6.1f} requests/s, {turns[title]:.2f} a thread")


def requests_per_s(case: Case) -> float:
    """The mean over seeds of the best picker with the best number of threads."""
    found: list[float] = []
    for picker, threads in product(PICKERS, THREADS):
        settings = msgspec.structs.replace(DEFAULTS, algorithm=picker)
        each: list[float] = []
        for seed in SEEDS:
            shape = msgspec.structs.replace(case.shape, think_s=0.0)
            asks = Closed(shape, seed, threads * REPLICAS, RAMP_S)
            spec = Spec(case.title, picker, 0, seed)
            each.append(simulate(spec, settings, asks, WINDOW).requests_per_s)
        found.append(sum(each) / len(each))
    return round(max(found), 1)


def requests_per_thread(case: Case) -> float:
    """On average: threads end early when their prompts would get too long."""
    count = 0
    for number in range(SAMPLE):
        thread = Thread(case.shape, 0, number)
        thread.first()
        count += 1
        while thread.next() is not None:
            count += 1
    return round(count / SAMPLE, 3)


if __name__ == "__main__":
    main()
