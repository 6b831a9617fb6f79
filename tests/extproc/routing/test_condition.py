"""What is known of one endpoint, joined."""

import pytest

from engines.load import Load
from engines.watch.messages import Look, Member
from extproc.routing.breaker import BreakerRules
from extproc.routing.condition import (
    FAULT_LASTS_S,
    MOST_MODELS,
    EndpointHealth,
    HealthRules,
)
from extproc.routing.ejection import Fitness

RULES = HealthRules(BreakerRules(least=2))


def begin():
    return EndpointHealth(RULES)


def looked(health, at_s, fault="", **load):
    changed = health.look(Look("e", at_s, fault, Load(**load)), at_s)
    health.refresh(at_s)
    return changed


def ended(health, outcomes, model="m", at_s=1.0):
    """`.` answered, `5` answered with a fault, `x` not at all."""
    for each in outcomes:
        if each == "x":
            health.failed(model=model, began_s=at_s, now_s=at_s)
        else:
            health.answered(ok=each == ".", model=model, began_s=at_s, now_s=at_s)
    health.refresh(at_s)


def test_it_begins_well_and_warm():
    health = begin()
    health.refresh(1.0)
    assert health.is_well
    assert health.warmth(1.0) == 1.0
    assert health.fitness("m", 1.0) is Fitness.FIT


@pytest.mark.parametrize(
    ("outcomes", "condition", "reasons"),
    [
        ("5", "ready", ()),
        ("55", "open", ("errors:m",)),
        ("xx", "open", ("unanswered", "errors:m")),
        ("..", "ready", ()),
        (".5.5.5", "ready", ()),
    ],
)
def test_one_model_alone_is_the_endpoint(outcomes, condition, reasons):
    health = begin()
    ended(health, outcomes)
    assert (health.condition, health.reasons) == (condition, reasons)


def test_a_model_that_fails_leaves_others_alone():
    health = begin()
    ended(health, "....", "good")
    ended(health, "5555", "bad")
    assert (health.condition, health.reasons) == ("ready", ("errors:bad",))
    assert not health.is_well
    assert health.fitness("bad", 1.0) is Fitness.FAILING
    assert health.fitness("good", 1.0) is Fitness.FIT
    assert health.fitness("other", 1.0) is Fitness.FIT
    assert health.fitness("", 1.0) is Fitness.FIT
    ended(health, "5" * 10, "good")
    assert health.condition == "open"
    assert health.fitness("", 1.0) is Fitness.FAILING


def test_a_process_that_breaks_off_is_out_for_all_models():
    health = begin()
    ended(health, "xxx", "one")
    assert health.fitness("other", 1.0) is Fitness.FAILING


def test_looks():
    health = begin()
    assert not looked(health, 1.0)
    assert looked(health, 2.0, "refused")
    assert (health.condition, health.reasons) == ("open", ("refused",))
    assert health.fitness("m", 2.0) is Fitness.REFUSING
    assert looked(health, 3.0)
    assert health.is_well
    assert looked(health, 4.0, kv_usage=0.99, waiting=2000)
    assert health.reasons == ("kv_cache", "queue")
    assert health.fitness("m", 4.0) is Fitness.FULL


def test_failing_looks_mean_silence_only_when_they_last():
    health = begin()
    for at_s, fault, reasons in [
        (1.0, "timeout", ()),
        (3.9, "timeout", ()),
        (4.0, "timeout", ("silent",)),
        (5.0, "", ()),
        (6.0, "timeout", ()),
        (7.0, "unreadable", ()),
        (8.0, "timeout", ()),
        (9.5, "broken", ()),
        (11.0, "broken", ("silent",)),
        (12.0, "status", ("unhealthy",)),
    ]:
        looked(health, at_s, fault)
        assert health.reasons == reasons, at_s


def test_an_engine_without_metrics_is_well():
    health = begin()
    for at_s in range(20):
        looked(health, float(at_s), "unreadable")
    assert health.is_well


def test_stale_readings_open_nothing():
    health = begin()
    assert not health.look(Look("e", 1.0, "", Load(kv_usage=1.0)), 7.0)
    health.refresh(7.0)
    assert health.is_well


def test_without_looks_what_was_seen_lapses():
    health = begin()
    looked(health, 1.0, "refused")
    assert health.until_s == 1.0 + FAULT_LASTS_S
    health.refresh(1.0 + FAULT_LASTS_S + 0.1)
    assert health.is_well


def test_slow_first_tokens_trip_the_breaker():
    health = begin()
    for number in range(8):
        buckets = ((1.0, 0.0), (10.0, 0.0), (60.0, 5.0 * number))
        looked(health, number * 10.0, ttft_buckets=buckets)
        if health.reasons:
            break
    assert (number, health.condition, health.reasons) == (6, "open", ("slow",))
    assert health.fitness("m", 60.0) is Fitness.SLOW


def test_recovery_is_warmed_up():
    health = begin()
    ended(health, "xx")
    health.refresh(6.0)
    assert health.condition == "half_open"
    assert health.warmth(6.0) == 0.1
    ended(health, ".", at_s=7.0)
    assert health.is_well
    assert health.warmth(7.0) == pytest.approx(0.1)
    assert health.warmth(22.0) == pytest.approx(0.55)
    assert health.warmth(37.0) == 1.0


def test_a_process_that_is_back_is_warmed_up_one_that_was_full_is_not():
    health = begin()
    looked(health, 1.0, kv_usage=1.0)
    looked(health, 2.0)
    assert health.warmth(2.0) == 1.0
    looked(health, 3.0, "refused")
    looked(health, 4.0)
    assert health.warmth(3.0) == pytest.approx(0.1)


def test_members():
    health = begin()
    health.join(Member("e", since_s=100.0))
    assert health.warmth(100.0) == pytest.approx(0.1)
    health.join(Member("e", "draining", since_s=100.0))
    health.refresh(101.0)
    assert (health.condition, health.reasons) == ("draining", ("draining",))
    assert health.fitness("m", 101.0) is Fitness.LEAVING


def test_models_are_bounded_and_idle_ones_make_room():
    health = begin()
    for number in range(MOST_MODELS + 10):
        ended(health, "5", f"m{number}")
    ended(health, "55", "late")
    assert health.reasons == ()
    ended(health, "55", "later", at_s=100.0)
    assert health.reasons == ("errors:later",)
