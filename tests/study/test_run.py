"""Whole runs, short ones: the product's pickers in the simulator's virtual time."""

import pytest

from study.measure import Window
from study.plan import OURS, PICKERS, Spec
from study.run import run
from study.tuned import Setting, Tuned

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
