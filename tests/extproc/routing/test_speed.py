"""What a prediction needs of one endpoint."""

import pytest

from engines.load import Load
from engines.rates import UNKNOWN, Rates
from extproc.routing.settings import Prediction
from extproc.routing.speed import Prior, Speed, Speeds
from study.draws import source
from tests.extproc.routing.candidates import candidate, several

ABOUT = Prediction()


def speed(rates=UNKNOWN, prior=None, **load):
    return Speed(Load(**load), rates, prior or Prior(ABOUT), ABOUT)


def test_an_endpoint_of_which_nothing_is_known():
    unknown = speed()
    assert unknown.token_s == 1 / ABOUT.prefill_tokens_per_s
    assert unknown.hold_up_s(10**6, 1e12) > 0 or unknown.free_tokens == float("inf")
    assert (unknown.backlog_s, unknown.step_s) == (0.0, 0.0)


@pytest.mark.parametrize(("evidence", "rate"), [(0.0, 8000), (4.0, 12_000), (1e9, 16_000)])
def test_its_own_word_counts_with_its_evidence(evidence, rate):
    known = speed(Rates(prefill_tokens_per_s=16_000.0, evidence=evidence))
    assert 1 / known.token_s == pytest.approx(rate, rel=1e-3)


def test_what_waits():
    rates = Rates(8000.0, uncached_tokens=400.0)
    assert speed(rates, waiting=5).backlog_s == pytest.approx(5 * 400 / 8000)


def test_steps():
    rates = Rates(itl_base_s=0.01, itl_per_running_s=0.001)
    assert speed(rates, running=10).step_s == pytest.approx(0.02)
    assert speed(rates).step_s == 0.0


@pytest.mark.parametrize(
    ("load", "rates", "sent", "waits_s"),
    [
        ({"kv_usage": 0.8}, {}, (0, 10), 0.0),
        ({"kv_usage": 1.0}, {}, (0, 10), 0.25),
        ({"kv_usage": 0.925}, {}, (0, 10), 0.125),
        ({"kv_usage": 1.0}, {}, (3, 10), 1.0),
        (
            {"kv_usage": 1.0, "waiting": 1},
            {"drain_per_s": 0.5, "uncached_tokens": 0.0},
            (0, 1),
            4.0,
        ),
        ({"kv_usage": 0.5, "blocks": 100, "block_tokens": 16}, {}, (0, 801), 0.25),
        ({"running": 8, "waiting": 1}, {"most_running": 8, "uncached_tokens": 0.0}, (0, 1), 0.5),
        ({"running": 6, "waiting": 1}, {"most_running": 8, "uncached_tokens": 0.0}, (1, 1), 0.0),
        ({"running": 6, "waiting": 1}, {"most_running": 8, "uncached_tokens": 0.0}, (2, 1), 1.0),
        ({"running": 8}, {"most_running": 8}, (1, 1), 0.0),
    ],
)
def test_where_there_is_no_room(load, rates, sent, waits_s):
    assert speed(Rates(**rates), **load).hold_up_s(*sent) == pytest.approx(waits_s)


def test_the_queue_is_not_waited_for_twice():
    rates = Rates(1000.0, evidence=1e9, uncached_tokens=1000.0)
    full = speed(rates, kv_usage=1.0, waiting=4)
    assert full.backlog_s == pytest.approx(4.0)
    assert full.hold_up_s(0, 1) == 0.0


def test_the_prior_is_what_the_others_can_do():
    prior = Prior(ABOUT)
    assert prior.look(several(3, rate=20_000.0), 0.0)
    assert prior.prefill_tokens_per_s == 20_000
    assert not prior.look(several(3, rate=1.0), 0.5), "once a second"
    assert not prior.look(several(3, rate=20_100.0), 2.0)
    assert prior.prefill_tokens_per_s == 20_100
    assert not prior.look(several(3), 4.0)


@pytest.mark.parametrize(
    ("gateways", "least", "most"), [(1, 0.0, 0.1), (2, 0.4, 0.6), (4, 0.65, 0.85)]
)
def test_how_much_others_send_is_known_where_answers_are_short_too(gateways, least, most):
    """Looks and our own counts are of different moments: each time others are there."""
    prior, chance = Prior(ABOUT), source("others", gateways)
    assert prior.others == 0.5
    said = []
    for second in range(200):
        candidates = several(8)
        for each in candidates:
            each.load = Load(running=chance.randrange(5))
            each.in_flight = each.unseen = sum(chance.random() < 1 / gateways for _ in range(2))
        prior.look(candidates, float(second))
        said.append(prior.others)
    assert least <= sum(said[20:]) / 180 <= most


def test_too_few_requests_tell_nothing_of_others():
    prior, (alone,) = Prior(ABOUT), several(1)
    alone.load = Load(running=3)
    prior.look([alone], 0.0)
    assert prior.others == 0.5


def test_speeds_are_worked_out_once_for_each_look():
    speeds, candidates = Speeds(ABOUT), several(3, rate=8000.0)
    first = speeds.of(candidates, 0.0)
    assert list(map(id, speeds.of(candidates, 0.1))) == list(map(id, first))
    candidates[1].load = Load(waiting=1)
    again = speeds.of(candidates, 0.2)
    assert [a is b for a, b in zip(first, again, strict=True)] == [True, False, True]
    for number in range(100):
        speeds.of([candidate(f"x{number}:1")], 0.3)
    assert len(speeds._known) < 20
