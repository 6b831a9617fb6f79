from itertools import pairwise
from math import inf

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.load import Adapters
from engines.sim.core import Changes, Core, Done, First, Preempted
from engines.sim.profile import PROFILES, Profile
from engines.sim.sequence import Job

# A step takes a second, a token of a prompt another 1/100, whatever else nothing: easy to count.
PLAIN = Profile(
    name="plain",
    step_s=1.0,
    token_s=0.0,
    max_batched_tokens=64,
    max_seqs=4,
    blocks=101,
    block_tokens=16,
    startup_s=0.0,
)


def profile(**changes):
    return msgspec.structs.replace(PLAIN, **changes)


def job(key, prompt=40, output=5, text=None, **more):
    """A job whose text is named `text`; equal names are equal texts, up to their lengths."""
    text = key if text is None else text
    blocks = tuple(hash((text, at)) for at in range((prompt + output) // 16))
    return Job(key=key, blocks=blocks, prompt_tokens=prompt, output_tokens=output, **more)


def drain(core):
    events = []
    while (wake_s := core.next_s()) < inf:
        events += core.run_to(wake_s)
    return events


def timeline(events):
    return [(type(event).__name__, event.key, event.at_s) for event in events]


def test_a_job_alone():
    core = Core(PLAIN)
    core.add(job(1), 10.0)
    assert core.next_s() == core.next_step_s() == 11.0
    assert drain(core) == [First(1, 11.0, 0), Done(1, 15.0, 5)]
    assert core.next_s() == core.next_step_s() == inf


def test_an_answer_of_one_token_ends_as_it_begins():
    core = Core(PLAIN)
    core.add(job(1, output=1), 0.0)
    assert timeline(drain(core)) == [("First", 1, 1.0), ("Done", 1, 1.0)]


def test_who_comes_during_a_step_waits_for_its_end():
    core = Core(PLAIN)
    core.add(job(1), 0.0)
    core.add(job(2), 2.5)
    assert (core.load(2.5).running, core.load(2.5).waiting) == (1, 1)
    assert (core.load(3.0).running, core.load(3.0).waiting) == (2, 0)
    assert timeline(drain(core)) == [
        ("First", 1, 1.0),
        ("First", 2, 4.0),
        ("Done", 1, 5.0),
        ("Done", 2, 8.0),
    ]
    assert core.meter.queue_s.total == 0.5


def test_prompts_share_what_a_step_has_left():
    """64 tokens per step: 2 takes the rest of the first step and goes on in the second."""
    core = Core(PLAIN)
    core.add(job(0, prompt=1, output=20), 0.0)
    core.add(job(1, prompt=40), 0.5)
    core.add(job(2, prompt=40), 0.5)
    core.add(job(3, prompt=40), 0.5)
    assert timeline(core.run_to(4.0)) == [
        ("First", 0, 1.0),
        ("First", 1, 2.0),
        ("First", 2, 3.0),
        ("First", 3, 3.0),
    ]


def test_no_more_sequences_than_fit():
    core = Core(profile(max_seqs=2))
    for key in range(3):
        core.add(job(key), 0.0)
    firsts = [event for event in drain(core) if isinstance(event, First)]
    assert [(first.key, first.at_s) for first in firsts] == [(0, 1.0), (1, 2.0), (2, 6.0)]


def test_every_term_of_a_step():
    physics = profile(
        step_s=1.0,
        weights_s=0.5,
        token_s=0.03125,
        sequence_s=0.25,
        context_s=0.015625,
        pair_s=0.0078125,
    )
    core = Core(physics)
    core.add(job(1, prompt=32, output=3), 0.0)
    # 1 + max(0.5, 32 * 0.03125) + (32 * 16) pairs
    first_s = 1.0 + 1.0 + 512 * 0.0078125
    # then 1 + 0.5 + 0.25 + a context of 33 and 34 tokens
    second_s = first_s + 1.75 + 33 * 0.015625
    third_s = second_s + 1.75 + 34 * 0.015625
    assert timeline(drain(core)) == [("First", 1, first_s), ("Done", 1, third_s)]


@pytest.mark.parametrize(("prompt", "cached"), [(40, 32), (32, 16), (33, 32), (16, 0)])
def test_a_prompt_that_was_there_before(prompt: int, cached: int):
    core = Core(PLAIN)
    core.add(job(1, prompt), 0.0)
    drain(core)
    core.add(job(2, prompt, text=1), 100.0)
    assert drain(core)[0] == First(2, 101.0, cached)
    assert core.meter.cached_tokens == core.meter.cache_hits == cached


def test_the_next_turn_finds_the_answer_but_for_its_last_token():
    core = Core(PLAIN)
    core.add(job(1, prompt=40, output=9, text="chat"), 0.0)
    drain(core)
    core.add(job(2, prompt=90, text="chat"), 100.0)
    assert drain(core)[0] == First(2, 101.0, 48)
    core.add(job(3, prompt=40, output=8, text="talk"), 200.0)
    drain(core)
    core.add(job(4, prompt=90, text="talk"), 300.0)
    assert drain(core)[0].cached_tokens == 32


def test_the_longest_unused_goes_first_and_of_one_text_its_end():
    core = Core(profile(blocks=9))  # 8 to use
    for at, (key, text) in enumerate([(1, "a"), (2, "b"), (3, "a"), (4, "c")]):
        core.add(job(key, prompt=48, output=1, text=text), 100.0 * at)
        drain(core)
    cached = [core.is_cached(job(0, prompt=48, output=1, text=text).blocks) for text in "abc"]
    assert cached == [3, 2, 3]


def test_the_newest_is_preempted_and_computed_again():
    core = Core(profile(blocks=8))  # 7 to use: 3 and 3, and both want another
    core.add(job(1, prompt=46, output=20), 0.0)
    core.add(job(2, prompt=46, output=20), 0.0)
    events = drain(core)
    assert timeline(events) == [
        ("First", 1, 1.0),
        ("First", 2, 2.0),
        ("Preempted", 2, 4.0),
        ("Done", 1, 20.0),
        ("Done", 2, 37.0),
    ]
    load = core.load(40.0)
    assert (load.preemptions, load.generation_tokens, load.prompt_tokens) == (1, 40, 92)
    assert load.kv_usage == 0
    assert core.meter.request_preemptions.counts[:2] == [2, 0]


def test_adapters_wait_for_a_slot_while_others_pass():
    core = Core(profile(lora_slots=1, lora_load_s=0.5))
    core.add(job(1, adapter="red"), 0.0)
    core.add(job(2, adapter="blue"), 0.0)
    core.add(job(3), 0.0)
    load = core.load(2.0)
    assert load.adapters == Adapters(1, running=("red",), waiting=("blue",))
    assert timeline(drain(core)) == [
        ("First", 1, 1.5),
        ("First", 3, 2.5),
        ("Done", 1, 5.5),
        ("First", 2, 7.0),
        ("Done", 3, 7.0),  # the step that loads the adapter is long for all
        ("Done", 2, 11.0),
    ]


def test_an_adapter_that_stayed_is_not_loaded_again():
    core = Core(profile(lora_slots=2, lora_load_s=0.5))
    firsts = []
    for at, name in enumerate(["red", "blue", "red", "green", "red", "blue"]):
        core.add(job(at, adapter=name, output=1), 100.0 * at)
        firsts.append(drain(core)[0].at_s - 100.0 * at)
    assert firsts == [1.5, 1.5, 1.0, 1.5, 1.0, 1.5]


def test_a_decode_engine_takes_over_what_was_computed_elsewhere():
    core = Core(profile(kv_transfer_s_per_token=0.25))
    core.add(job(1, prompt=40, received_tokens=40), 0.0)
    assert core.load(5.0).waiting == 1
    assert core.load(5.0).kv_usage == pytest.approx(0.03)
    core.add(job(2, prompt=40, output=2), 6.0)
    assert timeline(drain(core)) == [
        ("First", 2, 7.0),
        ("Done", 2, 8.0),
        ("First", 1, 11.0),
        ("Done", 1, 15.0),
    ]
    assert core.meter.received_tokens == 40


@pytest.mark.parametrize(
    ("abort_s", "expected"),
    [
        (0.5, Done(1, 1.0, 1, "aborted")),
        (2.5, Done(1, 3.0, 3, "aborted")),
        (3.0, Done(1, 4.0, 4, "aborted")),
        (99.0, Done(1, 5.0, 5)),
    ],
)
def test_an_abort_ends_with_the_step(abort_s: float, expected: Done):
    core = Core(PLAIN)
    core.add(job(1), 0.0)
    core.abort(1, abort_s)
    core.abort("who", abort_s)
    assert [*core.run_to(abort_s), *drain(core)][-1] == expected
    assert core.load(100.0).kv_usage == 0


def test_who_waits_is_aborted_at_once():
    core = Core(profile(max_seqs=1))
    core.add(job(1), 0.0)
    core.add(job(2), 0.0)
    core.abort(2, 0.5)
    assert core.run_to(0.5) == [Done(2, 0.5, 0, "aborted")]


def test_a_crash_loses_everything():
    core = Core(profile(startup_s=30.0), started_s=-30.0)
    core.add(job(1), 0.0)
    core.add(job(2), 0.0)
    core.crash(3.5)
    assert core.run_to(3.5)[-2:] == [Done(1, 3.5, 3, "lost"), Done(2, 3.5, 2, "lost")]
    assert core.ready_s == 33.5
    with pytest.raises(ValueError, match="not ready"):
        core.add(job(1), 33.0)
    core.add(job(1), 34.0)
    assert drain(core)[0] == First(1, 35.0, 0)
    assert core.load(99.0).started_s == 3.5


def test_a_stall_makes_the_next_step_long():
    core = Core(PLAIN)
    core.add(job(1), 0.0)
    core.stall(until_s=60.0, now_s=1.5)
    assert timeline(drain(core)) == [("First", 1, 1.0), ("Done", 1, 63.0)]
    core.stall(until_s=90.0, now_s=70.0)
    core.add(job(2, output=1), 71.0)
    assert drain(core)[-1] == Done(2, 91.0, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt": 0}, "one token"),
        ({"output": 0}, "one token"),
        ({"prompt": 1600}, "fit"),
        ({"adapter": "red"}, "slots"),
    ],
)
def test_what_cannot_be_done(changes: dict[str, object], reason: str):
    core = Core(profile(lora_slots=0))
    with pytest.raises(ValueError, match=reason):
        core.add(job(1, **changes), 0.0)
    assert core.next_s() == inf


def test_a_key_is_there_once():
    core = Core(PLAIN)
    core.add(job(1), 0.0)
    with pytest.raises(ValueError, match="already"):
        core.add(job(1), 0.0)


def test_what_the_cache_gained_and_lost():
    core = Core(profile(blocks=5), kv_events=True)
    first, second = job(1, prompt=40, output=9), job(2, prompt=40, output=9)
    core.add(first, 0.0)
    assert core.kv_changes() == Changes(first.blocks[:2], ())
    drain(core)
    assert core.kv_changes() == Changes(first.blocks[2:], ())
    core.add(second, 50.0)
    drain(core)
    assert core.kv_changes() == Changes(second.blocks, first.blocks[:0:-1])
    assert Core(PLAIN).kv_changes() == Changes()


def test_what_a_look_says():
    core = Core(PROFILES["8b-h100"])
    core.add(job(1, prompt=1600, output=50), 0.0)
    core.run_to(0.2)
    load = core.load(0.2)
    tokens = core.tokens(1)
    assert 1 < tokens < 50
    assert load.generation_tokens == tokens
    assert (load.prompt_tokens, load.itl_s.count, load.ttft_s.count) == (1600, tokens - 1, 1)
    assert load.ttft_buckets[-1][1] == 1
    assert (load.blocks, load.block_tokens) == (core.profile.blocks, 16)
    drain(core)
    load = core.load(100.0)
    assert load.prefill_tokens.sum == 1600
    assert load.prefill_s.sum == load.ttft_s.sum > 0
    assert load.itl_s.sum + load.ttft_s.sum == pytest.approx(core.meter.latency_s.total)


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 7.0]),  # after the one before
        st.integers(1, 150),  # prompt
        st.integers(1, 60),  # output
        st.integers(0, 3),  # text
        st.sampled_from(["", "", "red", "blue", "green"]),
        st.sampled_from([0, 0, 0, 32]),  # received
        st.sampled_from([None, None, None, 0.0, 3.3, 20.0]),  # aborted after
    ),
    max_size=14,
)
SMALL = st.builds(
    profile,
    blocks=st.integers(16, 40),
    max_seqs=st.integers(1, 6),
    max_batched_tokens=st.sampled_from([6, 16, 64]),
    weights_s=st.sampled_from([0.0, 1.7]),
    token_s=st.sampled_from([0.0, 0.013]),
    context_s=st.sampled_from([0.0, 0.0011]),
    pair_s=st.sampled_from([0.0, 0.00007]),
    lora_slots=st.integers(1, 2),
    kv_transfer_s_per_token=st.just(0.1),
)


def calls_of(arrivals):
    """What is done to an engine, and when."""
    now_s, calls = 0.0, []
    for key, (after_s, prompt, output, text, adapter, received, aborted) in enumerate(arrivals):
        now_s += after_s
        more = {"adapter": adapter, "received_tokens": min(received, prompt)}
        calls.append((now_s, key, job(key, prompt, output, text, **more)))
        if aborted is not None:
            calls.append((now_s + aborted, key, None))
    return sorted(calls, key=lambda call: call[0])


def replay(core, calls, looks=()):
    """Do the calls in order, looking in between; returns all events."""
    events = []
    looks = [(at_s, -1, None) for at_s in looks]
    for now_s, key, asked in sorted([*calls, *looks], key=lambda call: call[0]):
        if key < 0:
            core.load(now_s)
            events += core.run_to(now_s)
        elif asked is None:
            core.abort(key, now_s)
        else:
            core.add(asked, now_s)
    return [*events, *core.run_to(1e9)]


@settings(max_examples=150, deadline=None)
@given(physics=SMALL, arrivals=ARRIVALS)
def test_every_job_ends_once_and_nothing_is_left(physics: Profile, arrivals: list[tuple]):
    core = Core(physics, kv_events=True)
    calls = calls_of(arrivals)
    events = replay(core, calls)
    ends = [event for event in events if isinstance(event, Done)]
    assert sorted(end.key for end in ends) == list(range(len(arrivals)))
    firsts = [event.key for event in events if isinstance(event, First)]
    assert len(firsts) == len(set(firsts))
    asked = {key: one.output_tokens for _, key, one in calls if one is not None}
    for end in ends:
        assert end.tokens == asked[end.key] if end.why == "done" else end.tokens <= asked[end.key]
    assert all(before.at_s <= after.at_s for before, after in pairwise(events))

    load, pages = core.load(1e9), core._scheduler.pages
    assert load.generation_tokens == sum(end.tokens for end in ends)
    assert load.preemptions == sum(isinstance(event, Preempted) for event in events)
    assert (load.running, load.waiting, load.kv_usage) == (0, 0, 0)
    assert pages.free == pages.usable
    assert (core._scheduler.decoding, core._scheduler.context) == (0, 0)
    assert not any(core._scheduler._phases)
    stored = core.kv_changes().stored
    assert len(stored) == len(set(stored)) == pages.cached
    assert core.kv_changes() == Changes()


@settings(max_examples=150, deadline=None)
@given(
    physics=SMALL,
    arrivals=ARRIVALS,
    looks=st.lists(st.floats(0, 200), max_size=30),
)
def test_looking_changes_nothing(physics: Profile, arrivals: list[tuple], looks: list[float]):
    calls = calls_of(arrivals)
    seen, unseen = Core(physics, kv_events=True), Core(physics, kv_events=True)
    assert replay(seen, calls, looks) == replay(unseen, calls)
    first, second = seen.load(1e9), unseen.load(1e9)
    assert first.itl_s.sum == pytest.approx(second.itl_s.sum)
    assert first.itl_s.count == second.itl_s.count
    assert seen.kv_changes() == unseen.kv_changes()


@settings(max_examples=60, deadline=None)
@given(physics=SMALL, arrivals=ARRIVALS)
def test_step_by_step_it_is_the_same_and_blocks_add_up(physics: Profile, arrivals: list[tuple]):
    calls = calls_of(arrivals)
    core, events = Core(physics), []
    for now_s, key, asked in [*calls, (1e9, None, None)]:
        while core.next_step_s() <= now_s:
            events += core.run_to(core.next_step_s())
            scheduler = core._scheduler
            held = {
                block
                for sequence in core._jobs.values()
                for block in sequence.job.blocks[: sequence.full]
            }
            assert 0 <= scheduler.pages.free <= scheduler.pages.usable - len(held)
        if asked is not None:
            core.add(asked, now_s)
        elif key is not None:
            core.abort(key, now_s)
    assert [*events, *core.run_to(1e9)] == replay(Core(physics), calls)
