"""What looks teach of an engine's speed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.load import Load, Total
from engines.rates import SAMPLES, UNKNOWN, Line, RateLearner, blend, has_restarted

STEP_S = 0.2


class Engine:
    """Looks at an engine whose counters are moved by hand."""

    def __init__(self):
        self.learner, self.now_s = RateLearner(), 100.0
        self.count = self.tokens = self.spent_s = 0.0
        self.steps = self.steps_s = self.begun = self.prompts = self.cached = 0.0

    def served(self, count, tokens, prefill_s):
        self.count += count
        self.tokens += count * tokens
        self.spent_s += count * prefill_s
        self.begun += count
        self.prompts += count * tokens
        return self

    def decoded(self, steps, itl_s):
        self.steps += steps
        self.steps_s += steps * itl_s
        return self

    def look(self, passed_s=STEP_S, **now):
        self.now_s += passed_s
        load = Load(
            **now,
            prompt_tokens=self.prompts,
            cached_tokens=self.cached,
            prefill_s=Total(self.spent_s, self.count),
            prefill_tokens=Total(self.tokens, self.count),
            itl_s=Total(self.steps_s, self.steps),
            ttft_s=Total(0.0, self.begun),
        )
        return self.learner.look(load, self.now_s)


def test_nothing_is_known_before_two_looks():
    engine = Engine().served(5, 1000, 0.1)
    assert engine.look() == UNKNOWN
    assert engine.look() == UNKNOWN
    assert engine.learner.rates == UNKNOWN


def test_the_prefill_rate():
    engine = Engine()
    engine.look()
    for _ in range(40):
        rates = engine.served(1, 2000, 0.25).look()
    assert rates.prefill_tokens_per_s == pytest.approx(8000)
    assert rates.uncached_tokens == pytest.approx(2000)
    assert rates.evidence == 40
    assert rates.error < 0.05


def test_what_shared_its_steps_with_others_says_little():
    """Most requests took three times as long as alone; one in four did not."""
    engine = Engine()
    engine.look()
    for number in range(60):
        rates = engine.served(1, 2000, 0.25 if number % 4 == 0 else 0.75).look()
    assert rates.prefill_tokens_per_s == pytest.approx(8000)
    assert rates.error > 0.3


def test_an_engine_that_is_never_alone_shows_its_throughput():
    """Sixteen prompts in each step: by requests it seems sixteen times slower than it is."""
    engine = Engine()
    engine.look(waiting=9, running=16)
    for _ in range(100):
        rates = engine.served(16, 100, 0.2).look(waiting=9, running=16)
    assert rates.prefill_tokens_per_s == pytest.approx(8000, rel=0.05)


def test_one_long_prompt_is_no_throughput():
    """It counts as a whole when it ends: 16 000 tokens in one look."""
    engine = Engine()
    engine.look(waiting=1)
    for number in range(60):
        if number % 20 == 10:
            engine.served(1, 16_000, 4.0)
        rates = engine.look(waiting=1)
    assert rates.prefill_tokens_per_s == pytest.approx(4000)


def test_cached_tokens_were_not_computed():
    engine = Engine()
    engine.look(waiting=3)
    for _ in range(60):
        engine.served(4, 100, 0.2)
        engine.prompts += 4000
        engine.cached += 4000
        rates = engine.look(waiting=3)
    assert rates.prefill_tokens_per_s < 2500


def test_steps_grow_with_what_runs():
    engine = Engine()
    engine.look(running=4)
    for number in range(200):
        running = 4 if number % 20 < 10 else 40
        rates = engine.decoded(100, 0.01 + 0.0005 * running).look(running=running)
    assert rates.itl_per_running_s == pytest.approx(0.0005, rel=0.2)
    assert rates.itl_base_s == pytest.approx(0.01, rel=0.2)
    assert 0.01 < rates.itl_s < 0.035


def test_at_one_load_no_slope_is_seen():
    engine = Engine()
    engine.look(running=4)
    for _ in range(20):
        rates = engine.decoded(100, 0.02).look(running=4)
    assert (rates.itl_base_s, rates.itl_per_running_s) == (pytest.approx(0.02), 0.0)


def test_the_step_of_decoding_is_not_prefill():
    engine = Engine()
    engine.look(running=4)
    for _ in range(40):
        rates = engine.decoded(50, 0.05).served(1, 1000, 0.175).look(running=4)
    assert rates.prefill_tokens_per_s == pytest.approx(8000, rel=0.02)


def test_how_fast_a_queue_drains_is_seen_while_there_is_one():
    engine = Engine()
    engine.look()
    assert engine.served(5, 100, 0.1).look().drain_per_s is None
    engine.look(waiting=3)
    for _ in range(100):
        rates = engine.served(1, 100, 0.1).look(waiting=3)
    assert rates.drain_per_s == pytest.approx(5.0, rel=0.05)
    assert engine.served(40, 100, 0.1).look().drain_per_s == rates.drain_per_s


def test_the_limit_of_sequences_is_where_no_more_run_while_others_wait():
    engine = Engine()
    engine.look(running=16, waiting=2)
    assert engine.look(running=16, waiting=2).most_running is None
    for _ in range(5):
        rates = engine.look(running=16, waiting=2)
    assert rates.most_running == 16
    assert engine.look(running=20, waiting=2).most_running == 20
    assert engine.look(running=20).most_running == 20
    assert engine.look(running=24).most_running == 24, "it was none"


def test_a_restart_begins_anew():
    engine = Engine()
    engine.look()
    assert engine.served(9, 1000, 0.1).look().prefill_tokens_per_s
    engine.count = engine.tokens = engine.spent_s = engine.prompts = engine.begun = 0.0
    assert engine.look() == UNKNOWN
    assert engine.served(1, 1000, 0.5).look().prefill_tokens_per_s == pytest.approx(2000)


@pytest.mark.parametrize(
    ("before", "after", "restarted"),
    [
        (Load(started_s=1.0), Load(started_s=1.0), False),
        (Load(started_s=1.0), Load(started_s=2.0), True),
        (Load(prompt_tokens=5), Load(prompt_tokens=4), True),
        (Load(generation_tokens=5), Load(generation_tokens=4), True),
        (Load(itl_s=Total(1.0, 5)), Load(itl_s=Total(1.0, 4)), True),
        (Load(ttft_s=Total(1.0, 5)), Load(ttft_s=Total(1.0, 4)), True),
        (Load(running=5), Load(running=0), False),
    ],
)
def test_what_is_a_restart(before, after, restarted):
    assert has_restarted(before, after) is restarted


def test_old_looks_teach_nothing():
    engine = Engine()
    engine.look()
    rates = engine.served(9, 1000, 0.1).look()
    engine.served(9, 1000, 5.0)
    assert engine.look(-10.0) == rates


def test_news_pushes_out_what_is_old():
    engine = Engine()
    engine.look()
    for _ in range(SAMPLES):
        engine.served(1, 1000, 0.1).look()
    for _ in range(SAMPLES):
        rates = engine.served(1, 1000, 1.0).look()
    assert rates.prefill_tokens_per_s == pytest.approx(1000)


def test_blending():
    assert blend(None, 3.0, 1.0) == 3.0
    assert blend(1.0, 3.0, 5.0) == 2.0
    assert blend(1.0, 3.0, 0.0) == 1.0


AMOUNT = st.floats(0, 1e12)
TOTAL = st.builds(Total, AMOUNT, AMOUNT)
LOAD = st.builds(
    Load,
    running=st.integers(0, 10**6),
    waiting=st.integers(0, 10**6),
    started_s=st.sampled_from([0.0, 1.0]),
    prompt_tokens=AMOUNT,
    cached_tokens=AMOUNT,
    generation_tokens=AMOUNT,
    prefill_s=TOTAL,
    prefill_tokens=TOTAL,
    itl_s=TOTAL,
    ttft_s=TOTAL,
)


@given(st.lists(st.tuples(LOAD, st.floats(-10, 100)), max_size=20))
def test_whatever_is_seen_rates_make_sense(looks):
    learner = RateLearner()
    for load, at_s in looks:
        rates = learner.look(load, at_s)
        assert rates.prefill_tokens_per_s is None or rates.prefill_tokens_per_s > 0
        assert rates.itl_base_s is None or rates.itl_base_s >= 0
        assert rates.itl_per_running_s >= 0
        assert 0 <= rates.error <= 1
        assert 0 <= rates.evidence <= SAMPLES


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=30))
def test_a_line_never_falls_below_nothing(points):
    line = Line()
    for x, y in points:
        line.add(x, y)
    base, slope = line.fit()
    assert slope >= 0
    assert base >= -1e-6 * max(1.0, *(y for _, y in points))
