import msgspec

from engines.sim.profile import PROFILES
from engines.sim.scheduler import Scheduler
from engines.sim.sequence import Job, Sequence

SMALL = msgspec.structs.replace(
    PROFILES["8b-h100"], blocks=8, max_batched_tokens=32, max_seqs=3, block_tokens=16
)


def sequence(key, prompt=40, output=5):
    blocks = tuple(key * 100 + at for at in range((prompt + output) // 16))
    return Sequence(
        Job(key=key, blocks=blocks, prompt_tokens=prompt, output_tokens=output), key, 0.0
    )


def step(scheduler):
    """Plan and end one step; returns what was planned."""
    batch = scheduler.plan(0.0)
    scheduler.advance(1, goes_on=False)
    for one in batch.prefills:
        scheduler.join(one)
    scheduler.end_step()
    return batch


def test_a_prompt_in_pieces():
    scheduler = Scheduler(SMALL)
    scheduler.waiting.append(sequence(1))
    pieces = [step(scheduler) for _ in range(2)]
    assert [piece.prefill_tokens for piece in pieces] == [32, 8]
    assert [piece.pairs for piece in pieces] == [32 * 16, 8 * (32 + 4)]
    assert [len(piece.prefills) for piece in pieces] == [0, 1]


def test_a_prompt_is_let_in_only_if_all_of_it_fits():
    scheduler = Scheduler(SMALL)
    scheduler.waiting += [sequence(1, prompt=60), sequence(2, prompt=60)]
    for _ in range(3):
        step(scheduler)
    assert (len(scheduler.running), scheduler.queued) == (1, 1)
    assert not scheduler.is_open


def test_steady_is_as_long_as_nobody_ends_and_blocks_suffice():
    scheduler = Scheduler(SMALL)
    scheduler.waiting.append(sequence(1, prompt=16, output=30))
    step(scheduler)
    scheduler.plan(0.0)
    assert scheduler.steady() == 28
    scheduler = Scheduler(msgspec.structs.replace(SMALL, blocks=3))
    scheduler.waiting.append(sequence(1, prompt=16, output=30))
    step(scheduler)
    scheduler.plan(0.0)
    assert scheduler.steady() == 15


def test_whoever_is_dropped_leaves_nothing():
    scheduler = Scheduler(SMALL)
    some = [sequence(key, prompt=20) for key in range(5)]
    scheduler.waiting += some
    step(scheduler)
    step(scheduler)
    for one in some:
        scheduler.drop(one)
    assert scheduler.queued == len(scheduler.running) == scheduler.decoding == 0
    assert scheduler.pages.free == scheduler.pages.usable
