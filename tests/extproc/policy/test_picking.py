"""How endpoints are chosen, compiled."""

import msgspec
import pytest
from pydantic import ValidationError

from extproc.policy.picking import PickerPolicy, PredictionPolicy, WeightsPolicy
from extproc.routing.prefixes import MOST_BLOCKS, MOST_OF_POOL
from extproc.routing.settings import DEFAULTS, Prediction, Weights


def test_nothing_said_is_the_defaults():
    assert PickerPolicy().settings() == DEFAULTS
    assert PickerPolicy().bounds() == (MOST_BLOCKS, MOST_OF_POOL)
    assert PickerPolicy().session is None


def test_every_setting_can_be_set():
    assert set(WeightsPolicy.model_fields) == set(Weights.__struct_fields__)
    assert set(PredictionPolicy.model_fields) == set(Prediction.__struct_fields__)


def test_what_is_said_arrives_there():
    written = {
        "algorithm": "weighted",
        "fresh_s": 2,
        "in_flight_s": 20,
        "session": "x-session-affinity",
        "weights": {"queue": 1, "requests": 0.5},
        "ring": {"factor": 1.5, "places": 64, "key_blocks": 4},
        "prefixes": {"endpoint_blocks": 1000, "pool_blocks": 5000},
        "prediction": {"ring_credit": 0.0, "tolerance": 0.3},
        "disaggregated_tokens": 512,
    }
    policy = PickerPolicy.model_validate(written)
    found = policy.settings()
    assert (found.algorithm, found.fresh_s, found.in_flight_s) == ("weighted", 2, 20)
    assert found.weights == msgspec.structs.replace(DEFAULTS.weights, queue=1, requests=0.5)
    assert (found.ring_factor, found.ring_places, found.key_blocks) == (1.5, 64, 4)
    assert (found.prediction.ring_credit, found.prediction.tolerance) == (0.0, 0.3)
    assert found.prediction.drain_s == DEFAULTS.prediction.drain_s
    assert (found.disaggregated_tokens, policy.bounds()) == (512, (1000, 5000))


@pytest.mark.parametrize(
    "written",
    [
        {"algorithm": "fastest"},
        {"fresh_s": 0},
        {"session": "cookie"},
        {"weights": {"queue": -1}},
        {"weights": {"prefixes": 1}},
        {"ring": {"factor": 1.0}},
        {"ring": {"places": 0}},
        {"prediction": {"tolerance": 1.5}},
        {"prediction": {"prefill_tokens_per_s": float("inf")}},
        {"unknown": 1},
    ],
)
def test_mistakes(written):
    with pytest.raises(ValidationError):
        PickerPolicy.model_validate(written)
