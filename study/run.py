"""One run: from what is asked to its figures."""

from random import Random

import msgspec

from extproc.routing.pickers import make_picker
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import DEFAULTS, PickerSettings
from study.cases import CASES, REPLICAS, Case
from study.draws import source
from study.gateway import Gateway, Sight
from study.measure import Figures, Window, measure
from study.plan import OURS, Spec
from study.pools import pool
from study.sights import SIGHTS
from study.threads import Closed, Open, Source
from study.tuned import Tuned, apply
from study.world import World

RAMP_S = 30.0
"""In which the threads of a closed loop begin."""
ASK_RATES = (OURS,)
ASK_PREFIXES = (OURS, "weighted")
"""Which pickers ask for what; for the others it is not kept."""


def run(spec: Spec, tuned: Tuned, window: Window | None = None) -> Figures:
    """Run it. Seconds of CPU; the same figures every time."""
    case = CASES[spec.case]
    changes = tuned.changes(spec.picker, spec.case)
    settings = msgspec.structs.replace(DEFAULTS, algorithm=spec.picker)
    return simulate(spec, apply(settings, changes), traffic(case, spec, tuned), window)


def traffic(case: Case, spec: Spec, tuned: Tuned) -> Source:
    """Load grows with the pool."""
    scale = spec.replicas / REPLICAS
    if case.threads:
        return Closed(case.shape, spec.seed, round(case.threads * scale), RAMP_S)
    requests_per_s = tuned.capacity[case.title] * scale * spec.load / 100
    return Open(case.shape, spec.seed, requests_per_s / tuned.turns[case.title])


def simulate(
    spec: Spec, settings: PickerSettings, asks: Source, window: Window | None = None
) -> Figures:
    """Build a world, let it run, and measure."""
    case, sight = CASES[spec.case], sight_of(spec)
    endpoints = pool(case.kinds, spec.replicas)
    gateways = [
        build(settings, list(endpoints), sight, source("gateway", spec.seed, number))
        for number in range(spec.gateways)
    ]
    world = World(endpoints, gateways, sight, asks, round(case.shape.answer.mean))
    window = window or case.window
    world.run(window, spec.seed)
    return measure(list(world.records.values()), window, world.held)


def sight_of(spec: Spec) -> Sight:
    """How much is seen, and of that what the picker asks for."""
    return msgspec.structs.replace(
        SIGHTS[spec.sight],
        keeps_rates=spec.picker in ASK_RATES,
        keeps_prefixes=spec.picker in ASK_PREFIXES,
    )


def build(settings: PickerSettings, endpoints: list[str], sight: Sight, chance: Random) -> Gateway:
    """One replica, with the product's own picker."""
    prefixes = Prefixes()
    picker = make_picker(settings, prefixes)
    return Gateway(picker, prefixes, endpoints, sight, chance)
