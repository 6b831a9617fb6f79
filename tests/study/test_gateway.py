import pytest

from engines.load import Load, Total
from extproc.routing.candidate import Choice
from extproc.routing.prefixes import Prefixes
from study.draws import source
from study.gateway import Gateway, Sight
from study.threads import Ask

BLOCKS = tuple(range(100, 120))


class First:
    """Takes the first endpoint, and keeps what it was shown."""

    def choose(self, asked, candidates, now_s):
        self.asked, self.candidates = asked, candidates
        return Choice((candidates[0].endpoint,), cached_tokens=64)

    def explain(self, asked, candidates, now_s):
        return []


def make(sight=None):
    picker, prefixes = First(), Prefixes()
    return Gateway(picker, prefixes, ["a", "b"], sight or Sight(), source("test")), picker, prefixes


def ask(key):
    return Ask(key, 260, 50, BLOCKS, thread=None)


def test_what_was_sent_counts_until_a_look_shows_it_and_until_it_ends():
    gateway, picker, _ = make()
    for number in range(3):
        gateway.pick(ask(f"k{number}"), 100, now_s=10.0 + number)
    seen = picker.candidates[0]
    assert (seen.in_flight, seen.unseen, seen.unseen_tokens) == (3, 3, 3 * 196)
    gateway.look("a", 11.5, Load(running=2))
    assert (seen.in_flight, seen.unseen, seen.seen_s) == (3, 1, 11.5)
    gateway.ended("k0")
    gateway.ended("k2")
    assert (seen.in_flight, seen.unseen, seen.unseen_tokens) == (1, 0, 0)
    gateway.look("a", 20.0, Load())
    gateway.ended("k1")
    assert (seen.in_flight, seen.in_flight_tokens, seen.unseen) == (0, 0, 0)


def test_prompts_are_shown_in_blocks_of_64_tokens_without_their_answers():
    gateway, picker, prefixes = make()
    gateway.pick(ask("k"), 100, 1.0)
    assert picker.asked.blocks == (103, 107, 111, 115)
    assert (picker.asked.block_tokens, picker.asked.completion_tokens) == (64, 100)
    assert prefixes.matched(picker.asked.blocks) == {"a": 4}


def test_kv_events_are_believed_and_some_get_lost():
    gateway, picker, prefixes = make(Sight(is_precise=True))
    gateway.changed("b", BLOCKS[:10], ())
    gateway.changed("b", (), BLOCKS[8:10])
    gateway.pick(ask("k"), 100, 1.0)
    assert picker.asked.blocks == BLOCKS[:16]
    assert prefixes.matched(BLOCKS)["b"] == 8
    deaf, _, nothing = make(Sight(is_precise=True, lost=1.0))
    deaf.changed("b", BLOCKS, ())
    assert nothing.matched(BLOCKS) == {}


def hear(replays):
    """What is known to be there, after each of twenty batches with one block of which half get lost."""
    gateway, _, prefixes = make(Sight(is_precise=True, lost=0.5, replays=replays))
    for block in BLOCKS:
        gateway.changed("b", [block], ())
        yield prefixes.matched(BLOCKS).get("b", 0)


def test_a_lost_batch_is_told_again_when_the_next_one_comes():
    known = [0, *hear(replays=True)]
    heard = [number for number in range(1, 21) if known[number] != known[number - 1]]
    assert 5 < len(heard) < 15
    assert [known[number] for number in heard] == heard


def test_where_nothing_is_told_again_the_beginning_stays_unknown():
    known = list(hear(replays=False))
    assert known[0] == 1
    assert known[-1] == 0


def test_rates_are_learned_and_prompts_remembered_unless_nobody_asks():
    for keeps in (True, False):
        gateway, picker, prefixes = make(Sight(keeps_rates=keeps, keeps_prefixes=keeps))
        for number in range(3):
            gateway.look("a", 1.0 + number, Load(running=1, itl_s=Total(0.1 * number, number)))
        gateway.pick(ask("k"), 100, 5.0)
        assert picker.candidates[0].load.itl_s.count == 2
        assert (picker.candidates[0].rates.itl_s is not None) is keeps
        assert bool(prefixes.matched(picker.asked.blocks)) is keeps


@pytest.mark.parametrize(("sight", "counts"), [(Sight(), 1), (Sight(counts_in_flight=False), 0)])
def test_in_flight_may_be_unknown(sight, counts):
    gateway, picker, _ = make(sight)
    gateway.pick(ask("k"), 100, 1.0)
    assert picker.candidates[0].in_flight == counts
    gateway.ended("k")
    assert picker.candidates[0].in_flight == 0
