"""Whole runs, short ones: the product's pickers in the simulator's virtual time."""

import msgspec
import pytest

from extproc.routing.settings import DEFAULTS
from study.cases import CASES
from study.draws import source
from study.gateway import Sight
from study.measure import Window
from study.plan import OURS, PICKERS, Spec
from study.pools import pool
from study.run import ASK_PREFIXES, ASK_RATES, build, run, sight_of, traffic
from study.tuned import Setting, Tuned
from study.world import World

TUNED = Tuned({"rag": 24.0, "short": 150.0}, {"rag": 1.5, "short": 1.0})
WINDOW = Window(2.0, 6.0, 7.0)


@pytest.mark.parametrize("picker", PICKERS)
def test_every_picker_serves(picker):
    figures = run(Spec("short", picker, 20, 1), TUNED, WINDOW)
    assert figures.requests > 60
    assert figures.unanswered == 0
    assert 0 < figures.p50_ttft_s < 0.2


def test_a_run_repeats_and_another_seed_does_not():
    spec = Spec("rag", OURS, 50, 1, gateways=2)
    assert run(spec, TUNED, WINDOW) == run(spec, TUNED, WINDOW)
    assert run(spec, TUNED, WINDOW) != run(Spec("rag", OURS, 50, 2, gateways=2), TUNED, WINDOW)


def records_of(picker, sight):
    spec, case = Spec("rag", picker, 80, 1), CASES["rag"]
    settings = msgspec.structs.replace(DEFAULTS, algorithm=picker)
    endpoints = pool(case.kinds, 4)
    gateway = build(settings, list(endpoints), sight, source("gateway"))
    world = World(endpoints, [gateway], sight, traffic(case, spec, TUNED), 100)
    world.run(WINDOW, 1)
    return world.records


@pytest.mark.parametrize("picker", PICKERS)
def test_a_picker_misses_nothing_that_is_not_kept_for_it(picker):
    sight = sight_of(Spec("rag", picker, 80, 1))
    asked = (sight.keeps_rates, sight.keeps_prefixes)
    assert asked == (picker in ASK_RATES, picker in ASK_PREFIXES)
    everything, kept = records_of(picker, Sight()), records_of(picker, sight)
    assert everything == kept
    nothing = records_of(picker, Sight(keeps_rates=False, keeps_prefixes=False))
    assert (nothing == everything) is not any(asked)


def test_pickers_meet_the_same_requests():
    one, other = (run(Spec("short", p, 50, 3), TUNED, WINDOW) for p in ("random", OURS))
    assert one.requests == other.requests


def test_kv_events_and_settings_reach_the_picker():
    plain = run(Spec("rag", OURS, 80, 1), TUNED, WINDOW)
    told = run(Spec("rag", OURS, 80, 1, sight="KV events"), TUNED, WINDOW)
    assert told.hit_ratio > 0.3
    assert told != plain
    setting = Setting(OURS, "*", {"prediction.burden": 0.0, "ring_factor": 2.0}, 1, 0.0)
    tuned = Tuned(TUNED.capacity, TUNED.turns, (setting,))
    assert run(Spec("rag", OURS, 80, 1), tuned, WINDOW) != plain
