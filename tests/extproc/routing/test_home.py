"""Where a request belongs when nothing is known."""

from extproc.routing.home import Home, hash_session
from extproc.routing.settings import DEFAULTS
from tests.extproc.routing.candidates import asked, candidate, several


def test_keys():
    home = Home(DEFAULTS)
    assert home.key(asked(blocks=(7, 8))) == 7
    assert home.key(asked(blocks=(7,), session="s")) == hash_session("s")
    assert home.key(asked()) is None


def test_the_next_on_the_ring_are_next():
    home, candidates = Home(DEFAULTS), several(6)
    choice = home.choose(asked(blocks=(7,)), candidates, candidates)
    assert choice.rung == "hash"
    left = [each for each in candidates if each.endpoint != choice.endpoints[0]]
    assert home.choose(asked(blocks=(7,)), left, left).endpoints[:3] == choice.endpoints[1:]


def test_one_that_is_full_is_not_first():
    home, candidates = Home(DEFAULTS), several(4)
    first = home.line(7, candidates)[0]
    busy = [candidate(c.endpoint, in_flight=5 if c.endpoint == first else 1) for c in candidates]
    assert home.line(7, busy)[0] != first
    assert first in home.line(7, busy)


def test_without_a_key_by_chance():
    home, candidates = Home(DEFAULTS), several(4)
    chosen = {home.choose(asked(n), candidates, candidates).endpoints[0] for n in range(50)}
    assert len(chosen) == 4
    assert home.choose(asked(), candidates, candidates).rung == "any"


def test_a_conversation_settles_where_what_stands_before_it_is():
    home, places = Home(DEFAULTS), {each.endpoint: n for n, each in enumerate(several(8))}
    for key in range(0, 1 << 64, 1 << 60):
        line = list(home.ring.walk(key)) if home.settle(key, places, set()) else []
        assert home.settle(key, places, set()) == home.settle(key, places, {"gone:1"}) == line[0]
        # Another holder moves only what is its own.
        assert home.settle(key, places, {line[5], line[2]}) == line[2]
        assert home.settle(key, places, {line[5], line[7]}) == line[5]
    assert home.settle(7, (), set()) is None


def test_those_that_are_not_warm_yet_have_places_at_once():
    home, candidates = Home(DEFAULTS), several(8)
    choice = home.choose(asked(blocks=(7,)), candidates[:2], candidates)
    assert sorted(home.ring.walk(7)) == sorted(each.endpoint for each in candidates)
    assert set(choice.endpoints[:2]) == {each.endpoint for each in candidates[:2]}
