"""Which runs make up the study."""

from collections.abc import Iterator, Sequence
from itertools import product

import msgspec

from study.cases import CASES, REPLICAS
from study.sights import PLAIN, SIGHTS

SEEDS = tuple(range(3001, 3011))
"""Of the evaluation. Those of `tune` and `capacity` are others, and below a thousand."""
OURS = "predicted_ttft"
CLASSIC = (
    "random", "round_robin", "least_request", "peak_ewma", "queue_depth", "token_estimate", "chwbl",
)  # fmt: skip
PICKERS = (*CLASSIC, "weighted", OURS)
LIKELY = ("least_request", "chwbl", "weighted", OURS)
"""Where there is no time for all."""

ABLATED = ("mixed", "bursty", "rag")
SCALES = (1, 8, 16, 64)
SCALED = ("talk",)
GATEWAYS = (1, 2, 4)
SHARED_NOTHING = ("chat", "talk", "rag", "bursty")


class Spec(msgspec.Struct, frozen=True):
    """One run: everything it depends on, but for the code."""

    case: str
    picker: str
    load: int
    """Percent of the capacity."""
    seed: int
    replicas: int = REPLICAS
    gateways: int = 1
    sight: str = PLAIN


def specs(seeds: Sequence[int]) -> Iterator[Spec]:
    """All of them, each once; the most telling first, so that a study that is stopped tells something."""
    seen = set[Spec]()
    for stage in (at_normal_load, with_several_gateways, seeing_less, at_other_loads, at_scale):
        for seed in seeds:
            for spec in stage(seed):
                if spec not in seen:
                    seen.add(spec)
                    yield spec


def at_normal_load(seed: int) -> Iterator[Spec]:
    for case, picker in product(CASES.values(), PICKERS):
        yield Spec(case.title, picker, case.normal_load, seed)


def at_other_loads(seed: int) -> Iterator[Spec]:
    for case, picker in product(CASES.values(), PICKERS):
        for load in case.loads:
            yield Spec(case.title, picker, load, seed)


def with_several_gateways(seed: int) -> Iterator[Spec]:
    for title, gateways in product(SHARED_NOTHING, GATEWAYS):
        yield Spec(title, OURS, CASES[title].normal_load, seed, gateways=gateways)
    for title, picker in product(SHARED_NOTHING, ("chwbl", "weighted")):
        yield Spec(title, picker, CASES[title].normal_load, seed, gateways=GATEWAYS[-1])


def seeing_less(seed: int) -> Iterator[Spec]:
    for title, sight in product(ABLATED, SIGHTS):
        yield Spec(title, OURS, CASES[title].normal_load, seed, sight=sight)


def at_scale(seed: int) -> Iterator[Spec]:
    for title, replicas, picker in product(SCALED, SCALES, LIKELY):
        yield Spec(title, picker, CASES[title].normal_load, seed, replicas=replicas)


def quick(seed: int) -> Iterator[Spec]:
    """A part that shows everything, in two minutes."""
    for picker, case in product(LIKELY, CASES.values()):
        yield Spec(case.title, picker, case.normal_load, seed)
    yield Spec("rag", OURS, CASES["rag"].normal_load, seed, gateways=4)
    yield Spec("bursty", OURS, CASES["bursty"].normal_load, seed, sight="KV events, 10 % lost")
