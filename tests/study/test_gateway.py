import pytest

from engines.load import Load
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


@pytest.mark.parametrize(("sight", "counts"), [(Sight(), 1), (Sight(counts_in_flight=False), 0)])
def test_in_flight_may_be_unknown(sight, counts):
    gateway, picker, _ = make(sight)
    gateway.pick(ask("k"), 100, 1.0)
    assert picker.candidates[0].in_flight == counts
    gateway.ended("k")
    assert picker.candidates[0].in_flight == 0
