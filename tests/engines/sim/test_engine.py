import json
from math import inf

import pytest

from engines.sim.engine import EARLY_S, Run, Settings, SimEngine
from engines.sim.request import Generation, Reader

LONG = " ".join(f"word{i}" for i in range(70))


def engine_of(**settings: float) -> SimEngine:
    return SimEngine(Settings(ttft_ms=1000, itl_ms=100, **settings))  # type: ignore[arg-type]


def request_of(engine: SimEngine, **members: object) -> Generation:
    body = {"messages": [{"role": "user", "content": "one two"}], "ignore_eos": True, **members}
    settings = engine.settings
    reader = Reader(settings.models, engine.tokenizer, settings.max_model_len)
    return reader.chat(json.dumps({"max_tokens": 10, **body}).encode())


def completion_of(engine: SimEngine, **members: object) -> Generation:
    reader = Reader(engine.settings.models, engine.tokenizer, engine.settings.max_model_len)
    return reader.completion(json.dumps(members).encode())


def counted(engine: SimEngine) -> tuple[int, int]:
    return engine.meter.prompt_tokens, engine.meter.generation_tokens


def finish(engine: SimEngine, run: Run) -> None:
    engine.finish(run, run.last_s, completed=True)


def test_a_request_that_completes_counts_what_it_says():
    engine = engine_of()
    run = engine.start(request_of(engine), 5.0)
    assert engine.running == 1
    assert run.last_s == pytest.approx(5.0 + 1.0 + 9 * 0.1)

    finish(engine, run)

    assert engine.running == 0
    assert counted(engine) == (run.prompt_tokens, run.completion_tokens) == (5, 10)
    assert engine.meter.success["length"] == 1


@pytest.mark.parametrize(
    ("after_s", "tokens"),
    [(0.0, (0, 0)), (0.99, (0, 0)), (1.01, (5, 1)), (1.35, (5, 4)), (99.0, (5, 10))],
)
def test_a_request_that_is_aborted_counts_what_it_had_time_for(
    after_s: float, tokens: tuple[int, int]
):
    engine = engine_of()
    run = engine.start(request_of(engine), 0.0)
    engine.finish(run, after_s, completed=False)
    assert counted(engine) == tokens
    assert set(engine.meter.success.values()) == {0}


@pytest.mark.parametrize("before_due_s", [0.0, 0.0005, EARLY_S])
def test_a_token_that_left_a_little_early_is_counted(before_due_s: float):
    engine = engine_of()
    run = engine.start(request_of(engine), 0.0)
    engine.finish(run, run.first_s + 3 * run.itl_s - before_due_s + 1e-9, completed=False)
    assert counted(engine) == (5, 4)


def test_a_look_at_the_counters_changes_no_sum():
    engine = engine_of()
    run = engine.start(request_of(engine), 0.0)
    seen: list[tuple[int, int]] = []
    for now_s in (0.5, 1.05, 1.05, 1.55, 1.75):
        engine.catch_up(now_s)
        seen.append(counted(engine))
    finish(engine, run)
    assert [*seen, counted(engine)] == [(0, 0), (5, 1), (5, 1), (5, 6), (5, 8), (5, 10)]
    assert sum(engine.meter.ttft_s.counts) == 1


def test_with_n_the_engine_counts_the_prompt_n_times_and_usage_once():
    engine = engine_of()
    run = engine.start(request_of(engine, n=3), 0.0)
    finish(engine, run)
    assert (run.prompt_tokens, run.completion_tokens) == (5, 30)
    assert counted(engine) == (15, 30)
    assert [choice.index for choice in run.choices] == [0, 1, 2]
    assert engine.meter.success["length"] == 3


def test_several_prompts_are_one_request():
    engine = engine_of()
    run = engine.start(completion_of(engine, prompt=["a", "b c"], n=2, max_tokens=4), 0.0)
    finish(engine, run)
    assert (run.prompt_tokens, run.completion_tokens) == (3, 16)
    assert [choice.prompt.tokens for choice in run.choices] == [1, 1, 2, 2]
    assert [choice.index for choice in run.choices] == [0, 1, 2, 3]
    assert counted(engine) == (6, 16)


def test_the_second_choice_finds_the_first_ones_blocks():
    engine = engine_of()
    run = engine.start(completion_of(engine, prompt=LONG, n=2), 0.0)
    assert [choice.cached_tokens for choice in run.choices] == [0, 64]
    assert [choice.created_tokens for choice in run.choices] == [64, 0]
    assert (engine.meter.cache_queries, engine.meter.cache_hits) == (140, 64)


def test_at_least_one_token_of_a_prompt_is_computed():
    engine = engine_of()
    full = " ".join(f"word{i}" for i in range(64))
    cached = [
        engine.start(completion_of(engine, prompt=full), 0.0).choices[0].cached_tokens
        for _ in range(2)
    ]
    assert cached == [0, 32]


def test_a_salt_keeps_prompts_apart():
    engine = engine_of()
    cached = [
        engine.start(
            request_of(engine, messages=[{"role": "user", "content": LONG}], cache_salt=s), 0.0
        )
        .choices[0]
        .cached_tokens
        for s in ("a", "a", "b")
    ]
    assert cached == [0, 64, 0]


@pytest.mark.parametrize(("completed", "cached"), [(True, 96), (False, 64)])
def test_the_next_turn_finds_what_was_generated(*, completed: bool, cached: int):
    engine = engine_of()
    messages = [{"role": "user", "content": LONG}]
    run = engine.start(request_of(engine, messages=messages, max_tokens=40), 0.0)
    engine.finish(run, 1.3, completed=completed)

    answer = {"role": "assistant", "content": "".join(run.choices[0].words.pieces)}
    messages = [*messages, answer, {"role": "user", "content": "go on"}]
    run = engine.start(request_of(engine, messages=messages), 9.0)
    assert run.choices[0].cached_tokens == cached


def test_a_small_cache_forgets():
    engine = engine_of(num_blocks=2)
    for prompt in (LONG, LONG.upper()):
        finish(engine, engine.start(completion_of(engine, prompt=prompt, max_tokens=1), 0.0))
    run = engine.start(completion_of(engine, prompt=LONG), 0.0)
    assert run.choices[0].cached_tokens == 0


def test_the_context_ends_an_answer():
    engine = engine_of(max_model_len=20)
    run = engine.start(request_of(engine, max_tokens=None), 0.0)
    assert run.completion_tokens == 15
    assert run.choices[0].words.finish_reason == "length"


@pytest.mark.parametrize(
    ("order", "first_s", "itl_s"),
    [
        ({}, 1.0, 0.1),
        ({"ttft_ms": 20, "itl_ms": 0}, 0.02, 0.0),
        ({"fault": "slow"}, 10.0, 1.0),
        ({"ttft_ms": 20, "fault": "slow"}, 0.2, 1.0),
        ({"fault": "hang"}, inf, 0.1),
    ],
)
def test_the_pace(order: object, first_s: float, itl_s: float):
    engine = engine_of()
    run = engine.start(request_of(engine, x_sim=order), 0.0)
    assert (run.first_s, run.itl_s) == (first_s, itl_s)


def test_a_request_that_hangs_generates_nothing():
    engine = engine_of()
    run = engine.start(request_of(engine, x_sim={"fault": "hang"}), 0.0)
    engine.catch_up(1e9)
    engine.finish(run, 1e9, completed=False)
    assert counted(engine) == (0, 0)


def test_without_time_between_tokens_all_are_there_at_once():
    engine = engine_of()
    run = engine.start(request_of(engine, x_sim={"itl_ms": 0}), 0.0)
    assert run.last_s == run.first_s
    assert [run.steps_by(now_s) for now_s in (0.9, 1.0)] == [0, 10]


def test_running_requests_hold_blocks():
    engine = engine_of(num_blocks=10)
    run = engine.start(completion_of(engine, prompt=LONG, max_tokens=40, ignore_eos=True), 0.0)
    assert engine.kv_cache_usage(0.0) == pytest.approx(0.3)
    assert engine.kv_cache_usage(50.0) == pytest.approx(0.4)
    finish(engine, run)
    assert engine.kv_cache_usage(50.0) == 0


def test_an_embedding_counts_prompt_tokens_only():
    engine = engine_of()
    engine.embed((engine.tokenizer.prompt("a b c"),))
    assert counted(engine) == (3, 0)
    assert engine.meter.success["stop"] == 1


def test_the_same_requests_fail_in_every_run():
    runs = [engine_of(fail_rate=0.3, seed=7) for _ in range(2)]
    fates = [[engine.fails_by_chance() for _ in range(500)] for engine in runs]
    assert fates[0] == fates[1]
    assert 100 < sum(fates[0]) < 200
    assert not any(engine_of().fails_by_chance() for _ in range(100))
