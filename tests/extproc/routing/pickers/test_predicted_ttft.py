"""The default picker: each reason for a choice by itself, then many gateways at once."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.load import Adapters
from engines.rates import Rates
from extproc.routing.chance import draw
from extproc.routing.pickers.predicted_ttft import PredictedTtft
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import PickerSettings, Prediction
from tests.extproc.routing.candidates import NOW, anything, asked, candidate, several

A, B = "a:1", "b:1"
ALONE = PickerSettings(prediction=Prediction(ring_credit=0.0, caution=0.0))
"""One gateway: no other one can have sent anything."""


def make(settings=ALONE, prefixes=None):
    return PredictedTtft(settings, Prefixes() if prefixes is None else prefixes)


def chain(name, length=64):
    return tuple(draw(name, str(number)) for number in range(length))


def first(candidates, picker=None, **members):
    return (picker or make()).choose(asked(**members), candidates, NOW).endpoints[0]


def slow(**told):
    return candidate(A, rate=4000.0, **told)


def fast(**told):
    return candidate(B, rate=30_000.0, **told)


@pytest.mark.parametrize(
    ("worse", "members"),
    [
        ({"waiting": 8}, {}),
        ({"unseen": 2, "unseen_tokens": 20_000}, {}),
        ({"rates": Rates(prefill_tokens_per_s=1000.0, evidence=64.0, error=0.0)}, {}),
        ({"rates": Rates(8000.0, itl_base_s=0.2, evidence=64.0, error=0.0), "running": 1}, {}),
        ({"kv_usage": 1.0, "waiting": 1}, {}),
        ({"kv_usage": 0.99, "blocks": 1000, "block_tokens": 16}, {}),
        ({"rates": Rates(8000.0, most_running=16), "running": 16, "waiting": 1}, {}),
        ({"adapters": Adapters(1, ("other",))}, {"adapter": "mine"}),
        ({"age_s": 3.0, "in_flight": 9, "in_flight_tokens": 9000}, {}),
    ],
)
def test_the_other_one_is_better(worse, members):
    told = {"rates": Rates(8000.0, evidence=64.0, error=0.0)} | worse
    bad, good = candidate(A, **told), candidate(B, rate=8000.0)
    for number in range(20):
        picked = make().choose(asked(number, **members), [bad, good], NOW)
        assert picked.endpoints == (B, A)


def test_what_the_look_shows_counts_once():
    """In flight here and running there are the same requests."""
    there = candidate(A, rate=8000.0, running=0, in_flight=50, in_flight_tokens=50_000)
    choice = make().choose(asked(), [there], NOW)
    assert choice.predicted_s == pytest.approx(1000 / 8000)
    assert choice.rung == "predicted"


def test_a_cached_prompt_goes_home_and_the_prediction_says_so():
    prefixes, blocks = Prefixes(), chain("x", 16)
    prefixes.note(B, blocks[:12])
    choice = make(prefixes=prefixes).choose(
        asked(blocks=blocks, prompt_tokens=1024), [slow(), candidate(B, rate=4000.0)], NOW
    )
    assert choice.endpoints == (B, A)
    assert choice.cached_tokens == 768
    assert choice.predicted_s == pytest.approx(256 / 4000)


def test_a_cache_is_not_worth_any_queue():
    prefixes, blocks = Prefixes(), chain("x", 64)
    prefixes.note(A, blocks)
    picker = make(prefixes=prefixes)
    home, idle = candidate(A, rate=8000.0, waiting=2), candidate(B, rate=8000.0)
    assert first([home, idle], picker, blocks=blocks, prompt_tokens=4160) == A
    home = candidate(A, rate=8000.0, waiting=40)
    assert first([home, idle], picker, blocks=blocks, prompt_tokens=4160) == B


@pytest.mark.parametrize(("waiting", "where"), [(0, B), (2, B), (8, A)])
def test_a_document_is_not_copied_to_where_others_would_wait_for_it(waiting, where):
    """It would be answered sooner there each time; but those behind it would not."""
    prefixes, blocks = Prefixes(), chain("document", 128)
    prefixes.note(A, blocks)
    home = candidate(A, rate=8000.0, waiting=40)
    busy = candidate(B, rate=8000.0, waiting=waiting)
    picker = make(prefixes=prefixes)
    assert first([home, busy], picker, blocks=blocks, prompt_tokens=8256) == where
    terms = {
        each.endpoint: each
        for each in picker.explain(asked(blocks=blocks, prompt_tokens=8256), [home, busy], NOW)
    }
    burden_s = terms[B].terms["burden_s"]
    assert burden_s == pytest.approx(0.3 * waiting * 8256 / 8000)
    assert terms[B].cost - burden_s < terms[A].cost


def test_the_last_token_is_never_cached():
    prefixes, blocks = Prefixes(), chain("x", 16)
    prefixes.note(A, blocks)
    choice = make(prefixes=prefixes).choose(asked(blocks=blocks, prompt_tokens=1024), [slow()], NOW)
    assert choice.cached_tokens == 1023


def test_long_prompts_go_to_big_endpoints_by_themselves():
    """The big one is busier; a short prompt is served sooner by the small one, a long one is not.
    Nothing but what they have shown says so."""
    small, big = slow(), fast(waiting=6)
    chosen = {
        tokens: first([small, big], prompt_tokens=tokens) for tokens in (50, 200, 8000, 32_000)
    }
    assert chosen == {50: A, 200: A, 8000: B, 32_000: B}


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_the_longer_the_prompt_the_bigger_the_endpoint(one, other):
    """Where a prompt goes to the big one, so does every longer one."""
    candidates = [slow(), fast(waiting=6)]
    shorter, longer = sorted((one, other))
    picker = PredictedTtft(
        PickerSettings(prediction=Prediction(tolerance=0.0, floor_s=0.0)), Prefixes()
    )
    if first(candidates, picker, prompt_tokens=shorter) == B:
        assert first(candidates, picker, prompt_tokens=longer) == B


def test_one_that_has_shown_nothing_is_taken_for_as_good_as_the_others():
    candidates = [candidate(f"{n}:1", rate=20_000.0) for n in range(4)] + [candidate("new:1")]
    picker = make()
    chosen = Counter(first(candidates, picker, number=n) for n in range(400))
    assert 40 < chosen["new:1"] < 120


def test_a_stale_look_among_fresh_ones_is_replaced_by_our_own_counts():
    silent = candidate(A, rate=8000.0, age_s=30.0, in_flight_tokens=800, waiting=99)
    others = [candidate(f"{n}:1", rate=8000.0, waiting=1) for n in range(3)]
    assert make().choose(asked(), [silent, *others], NOW).rung == "predicted"
    terms = {t.endpoint: t for t in make().explain(asked(), [silent, *others], NOW)}
    assert terms[A].cost == pytest.approx(1800 / 8000)


@pytest.mark.parametrize(
    ("adapters", "cost_s"),
    [
        (Adapters(2, ("mine",)), 0.0),
        (Adapters(2, ("x", "y"), ("mine",)), 0.15),
        (Adapters(2, ("x",)), 0.3),
        (Adapters(0, ("x",)), 0.3),
        (Adapters(2, ("x", "y")), 2.3),
    ],
)
def test_adapters(adapters, cost_s):
    (terms,) = make().explain(asked(adapter="mine"), [candidate(adapters=adapters)], NOW)
    assert terms.terms["adapter_s"] == pytest.approx(cost_s)


def test_a_session_comes_back():
    candidates = several(8, rate=8000.0)
    picker = make()
    where = {first(candidates, picker, number=n, session="s1") for n in range(50)}
    assert len(where) == 1
    assert len({first(candidates, picker, session=f"s{n}") for n in range(50)}) > 4


def test_a_session_does_not_wait_for_its_endpoint():
    candidates = several(8, rate=8000.0)
    home = first(candidates, session="s1")
    busy = [
        candidate(c.endpoint, rate=8000.0, waiting=40 * (c.endpoint == home)) for c in candidates
    ]
    assert first(busy, session="s1") != home


def test_unknown_prompts_go_where_all_gateways_would_look_for_them():
    candidates = several(8, rate=8000.0)
    gateways = [make(PickerSettings()) for _ in range(4)]
    for number in range(100):
        blocks = chain(str(number), 4)
        where = {first(candidates, g, number=n, blocks=blocks) for n, g in enumerate(gateways)}
        assert len(where) == 1


def test_a_shared_system_prompt_does_not_bring_all_to_one_place():
    prefixes, candidates = Prefixes(), several(8, rate=8000.0)
    system = chain("system", 8)
    for each in candidates:
        prefixes.note(each.endpoint, (*system, *chain(each.endpoint, 4)))
    picker = make(PickerSettings(), prefixes)
    where = Counter(
        first(candidates, picker, number=n, blocks=(*system, *chain(str(n), 4))) for n in range(200)
    )
    assert len(where) == 8


@pytest.mark.parametrize("is_precise", [True, False])
def test_new_conversations_with_one_system_prompt_spread_over_an_idle_pool(is_precise):
    """Several gateways, all engines idle and with the system prompt in their caches, whether they tell
    of these or not: nobody gets more than twice a fair share."""
    prefixes, candidates = Prefixes(), several(8, rate=8000.0)
    system, chosen = chain("system", 8), Counter()
    for each in candidates:
        put = prefixes.store if is_precise else prefixes.note
        put(each.endpoint, (*system, *chain(each.endpoint, 4)))
    picker = make(PickerSettings(), prefixes)
    picker._speeds._prior.others = 0.75
    for number in range(200):
        blocks = (*system, *chain(str(number), 4))
        name = first(candidates, picker, number=number, blocks=blocks)
        prefixes.note(name, blocks, NOW)
        if is_precise:
            prefixes.store(name, blocks)
        chosen[name] += 1
    assert len(chosen) == 8
    assert max(chosen.values()) <= 50


def test_what_is_shared_says_where_its_conversations_belong():
    candidates = several(8, rate=8000.0)
    system, homes = chain("system", 64), {each.endpoint for each in candidates[:2]}
    gateways = list[PredictedTtft]()
    for number in range(2):
        prefixes = Prefixes()
        for endpoint in homes:
            prefixes.note(endpoint, (*system, *chain(f"{number} {endpoint}", 4)))
        gateways.append(make(PickerSettings(), prefixes))
    found = set[str]()
    for number in range(50):
        blocks = (*system, *chain(str(number), 4))
        where = {first(candidates, g, number=n, blocks=blocks) for n, g in enumerate(gateways)}
        assert len(where) == 1
        found |= where
    assert found == homes


def test_an_engine_that_tells_its_cache_is_taken_at_its_word():
    """Nothing is promised of its place on the ring: what is not there is not there."""
    candidates, blocks = several(8, rate=8000.0), chain("x", 16)
    home = first(candidates, make(PickerSettings()), blocks=blocks)
    prefixes = Prefixes()
    for each in candidates:
        prefixes.store(each.endpoint, ())
    busy = [candidate(c.endpoint, rate=8000.0, waiting=c.endpoint == home) for c in candidates]
    assert first(busy, make(PickerSettings()), blocks=blocks) == home
    assert first(busy, make(PickerSettings(), prefixes), blocks=blocks) != home


def test_gateways_that_know_the_same_old_look_do_not_all_do_the_same():
    """Four gateways, one look, fifty requests each: nobody gets more than twice a fair share."""
    candidates = several(8, rate=8000.0, age_s=0.9)
    for each in candidates:
        each.load = candidate(waiting=1, running=2).load
    chosen = Counter()
    for gateway in range(4):
        picker = make()
        for number in range(50):
            chosen[first(candidates, picker, number=100 * gateway + number)] += 1
    assert len(chosen) == 8
    assert max(chosen.values()) <= 50


def test_equals_take_turns():
    """Eight times eight prompts, and nothing told in between: everybody gets one of each eight."""
    candidates, picker = several(8, rate=8000.0), make()
    chosen = [first(candidates, picker, number=number) for number in range(64)]
    for start in range(0, 64, 8):
        assert len(set(chosen[start : start + 8])) == 8


def test_a_step_that_runs_may_end_at_once_or_not():
    """What is better by less than half of a step is not better; what is by more, is."""
    for queue_s, is_equal in ((0.015, True), (0.060, False)):
        candidates = several(2, rate=8000.0)
        for each in candidates:
            each.load = candidate(running=10).load
            each.rates = Rates(8000.0, 0.05, 0.05, 0.0, error=0.0, evidence=64.0)
        candidates[0].unseen_tokens = int(queue_s * 8000)
        picker = make()
        chosen = {first(candidates, picker, number=number) for number in range(20)}
        assert len(chosen) == (2 if is_equal else 1)


def test_a_conversation_stays_where_more_than_its_system_prompt_is_cached():
    prefixes, blocks = Prefixes(), chain("talk", 20)
    candidates = several(4, rate=8000.0)
    for each in candidates:
        prefixes.note(each.endpoint, blocks[:12])
    prefixes.note(candidates[2].endpoint, blocks)
    picker = make(prefixes=prefixes)
    for number in range(20):
        chosen = first(candidates, picker, number=number, blocks=blocks, prompt_tokens=1300)
        assert chosen == candidates[2].endpoint


def test_the_same_hot_prefix_spills_over():
    """All gateways send it home, until what they have sent themselves says otherwise."""
    prefixes, blocks = Prefixes(), chain("hot", 16)
    prefixes.note("10.0.0.1:1", blocks)
    candidates, picker = several(4, rate=8000.0), make(prefixes=prefixes)
    chosen = Counter()
    for number in range(60):
        name = first(candidates, picker, number=number, blocks=blocks, prompt_tokens=1200)
        prefixes.note(name, blocks)
        there = next(each for each in candidates if each.endpoint == name)
        there.unseen += 1
        there.unseen_tokens += 1000
        chosen[name] += 1
    assert len(chosen) == 4
    assert max(chosen.values()) < 30


@given(anything(), st.sampled_from(["", "a"]), st.sampled_from(["", "s"]))
def test_explanations_add_up(candidates, adapter, session):
    """What is said of a prediction is what was predicted."""
    for each in candidates:  # so extreme that sums do not depend on their order
        each.load = candidate(waiting=3, running=9, kv_usage=0.9, blocks=99, block_tokens=16).load
        each.rates = Rates(5000.0, 0.02, 0.01, 0.001, 300.0, 4.0, 9, 0.2, 30.0)
        each.unseen, each.unseen_tokens, each.in_flight_tokens, each.in_flight = 2, 900, 5000, 7
    for terms in make().explain(asked(adapter=adapter, session=session), candidates, NOW):
        seconds = sum(
            value
            for name, value in terms.terms.items()
            if name.endswith("_s") and "per" not in name
        )
        assert terms.cost == pytest.approx(seconds)


def test_the_rest_of_the_list_is_next_best():
    candidates = [candidate(f"{n}:1", rate=8000.0, waiting=n * 5) for n in range(6)]
    assert make().choose(asked(), candidates[::-1], NOW).endpoints == ("0:1", "1:1", "2:1", "3:1")


def test_without_looks_a_prompt_still_goes_back_until_the_bound():
    prefixes, blocks = Prefixes(), chain("x", 16)
    prefixes.note("10.0.0.2:1", blocks[:12])
    candidates = several(4, age_s=99.0)
    choice = make(prefixes=prefixes).choose(asked(blocks=blocks), candidates, NOW)
    assert (choice.endpoints[0], choice.rung, choice.cached_tokens) == ("10.0.0.2:1", "hash", 768)
    candidates[1].in_flight = 9
    choice = make(prefixes=prefixes).choose(asked(blocks=blocks), candidates, NOW)
    assert choice.endpoints[0] != "10.0.0.2:1"
    assert choice.rung == "hash"


def test_without_looks_a_session_comes_back_wherever_its_prompts_begin():
    prefixes, blocks, candidates = Prefixes(), chain("x", 16), several(4, age_s=99.0)
    picker = make(prefixes=prefixes)
    home = first(candidates, picker, session="s1")
    for each in candidates:
        prefixes.note(each.endpoint, blocks[: 4 if each.endpoint == home else 8])
    assert first(candidates, picker, session="s1", blocks=blocks) == home
    assert first(candidates, picker, blocks=blocks) != home


def test_a_prompt_stays_with_its_cache_where_its_prefill_would_hold_up_many():
    """Both queues are as long as makes it sooner elsewhere; what differs is who would wait for it."""
    prefixes, blocks = Prefixes(), chain("x", 16)
    prefixes.note(A, blocks)
    picker = make(prefixes=prefixes)
    home = candidate(A, rate=8000.0, waiting=3)
    where = [
        first(
            [home, candidate(B, rate=8000.0, running=running)],
            picker,
            blocks=blocks,
            prompt_tokens=1100,
        )
        for running in (0, 60)
    ]
    assert where == [B, A]


def test_how_much_is_sent_by_others_is_learned():
    picker = make(PickerSettings())
    ours, theirs = (several(4, running=10, in_flight=count) for count in (10, 0))
    for second in range(30):
        for each in ours:
            each.seen_s = NOW + second
        picker.choose(asked(), ours, NOW + second)
    assert picker._speeds.others < 0.01
    assert picker._prefixes.share > 0.99
    for second in range(30, 90):
        for each in theirs:
            each.seen_s = NOW + second
        picker.choose(asked(), theirs, NOW + second)
    assert picker._speeds.others > 0.99
    assert picker._prefixes.share < 0.01


def test_where_others_send_what_one_has_its_place_may_have():
    """A queue at the endpoint that we have sent it to: another gateway would have sent it home."""
    blocks, idle = chain("x", 16), several(8, rate=8000.0)
    home = first(idle, make(PickerSettings()), blocks=blocks)
    other = next(each.endpoint for each in idle if each.endpoint != home)
    prefixes = Prefixes()
    prefixes.note(other, blocks)
    candidates = [candidate(c.endpoint, rate=8000.0, waiting=c.endpoint == other) for c in idle]
    where = {}
    for others in (0.0, 1.0):
        picker = make(PickerSettings(), prefixes)
        picker._speeds._prior.others = others
        where[others] = first(candidates, picker, blocks=blocks)
    assert where == {0.0: other, 1.0: home}
