from itertools import islice, pairwise

import pytest

from engines.sim.profile import Profile
from study.cases import CASES
from study.draws import Length
from study.threads import BLOCK_TOKENS, Closed, Open, Prefix, Shape, Thread, Turns

SHAPE = Shape(
    title="test",
    first=Length(100, 0.5, 40),
    later=Length(50, 0.5, 20),
    answer=Length(60, 0.5, 20),
    turns=Turns(mean=3, least=2),
    think_s=5.0,
    tenants=2,
    shared=[Prefix("system", 320)],
)


def asks_of(number, shape=SHAPE):
    thread = Thread(shape, 1, number)
    found = [thread.first()]
    while (more := thread.next()) is not None:
        found.append(more[1])
    return found


def test_a_thread_repeats_and_its_prompts_hold_everything_so_far():
    asks = asks_of(3)
    assert [ask.blocks for ask in asks] == [ask.blocks for ask in asks_of(3)]
    for before, after in pairwise(asks):
        assert after.prompt_tokens > before.prompt_tokens + before.completion_tokens
        assert after.blocks[: len(before.blocks)] == before.blocks
        assert len(after.blocks) == (after.prompt_tokens + after.completion_tokens) // BLOCK_TOKENS


def test_threads_share_what_their_tenant_has_and_nothing_else():
    firsts = [asks_of(number)[0].blocks for number in range(20)]
    beginnings = {blocks[:20] for blocks in firsts}
    assert len(beginnings) == 2
    assert len({blocks[20] for blocks in firsts}) == 20


def test_a_thread_ends_before_it_gets_too_long():
    shape = Shape("long", Length(900, 0.1), Length(500, 0.1), Length(100, 0.1), Turns(30, 30))
    asks = asks_of(0, shape)
    assert asks[-1].prompt_tokens <= shape.most_tokens
    assert 10 < len(asks) < 30


def test_turns_have_their_mean():
    counts = [len(asks_of(number)) for number in range(1000)]
    assert min(counts) == 2
    assert sum(counts) / len(counts) == pytest.approx(3, rel=0.1)


def test_an_open_loop_does_not_wait_for_answers():
    begun = list(islice(Open(SHAPE, 1, 2.0).begin(), 50))
    times = [at_s for at_s, _ in begun]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(25, rel=0.5)


def test_a_closed_loop_has_as_many_threads_as_it_should():
    closed = Closed(SHAPE, 1, 5, 10.0)
    running = {ask.thread.name: ask for _, ask in closed.begin()}
    assert len(running) == 5
    for now_s in range(100, 160):
        name, ask = next(iter(running.items()))
        del running[name]
        at_s, following = closed.follow(ask, float(now_s))
        assert at_s >= now_s
        running[following.thread.name] = following
        assert len(running) == 5
    assert len({name.split("-")[1] for name in running}) == 5


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_case_asks_what_its_engines_can_do(case):
    for kind in case.kinds:
        assert isinstance(kind, Profile)
        for number in range(30):
            for ask in asks_of(number, case.shape):
                assert ask.prompt_tokens + ask.completion_tokens < kind.blocks * BLOCK_TOKENS
