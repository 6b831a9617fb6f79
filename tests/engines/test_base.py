"""The kinds there are, and what is claimed of them."""

from typing import get_args

import pytest

from engines.base import ENGINES, SIM, VLLM
from engines.kind import EVERY_OPERATION, EngineName
from extproc.request import Kind


def test_every_name_that_a_policy_may_give_is_a_kind():
    assert tuple(ENGINES) == get_args(EngineName)
    assert all(engine.name == name for name, engine in ENGINES.items())


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_claims_fit_together(engine):
    assert all(path[:1] in ("", "/") for path in (engine.health_path, engine.metrics_path))
    assert engine.health_path or not engine.metrics_path
    assert engine.salted <= engine.operations <= EVERY_OPERATION
    assert engine.operations
    assert "count_tokens" not in engine.salted
    assert not engine.counts_tokens or engine.metrics_path


def test_the_gateways_own_operations_are_all_an_engine_can_be_asked_for():
    here = {Kind.MODELS, Kind.USAGE}
    assert {kind.value for kind in Kind if kind not in here} == EVERY_OPERATION


def test_the_built_in_engine_speaks_vllms_protocol():
    assert (SIM.health_path, SIM.metrics_path, SIM.read_load) == (
        VLLM.health_path,
        VLLM.metrics_path,
        VLLM.read_load,
    )
    assert SIM.operations == VLLM.operations
    assert SIM.salted == VLLM.salted
    assert SIM.continuous_usage
