from engines.base import ENGINES, SIM, VLLM


def test_every_engine_is_found_by_its_own_name():
    assert ENGINES == {"vllm": VLLM, "sim": SIM}
    assert all(engine.name == name for name, engine in ENGINES.items())


def test_the_built_in_engine_differs_from_vllm_in_name_alone():
    told = [
        (engine.health_path, engine.metrics_path, engine.continuous_usage) for engine in (VLLM, SIM)
    ]
    assert told == [("/health", "/metrics", True)] * 2
