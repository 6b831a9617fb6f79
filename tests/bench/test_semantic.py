"""The figures of the semantic cache are counted right."""

from bench.questions import LANGUAGES, held_out, read_items
from bench.semantic import Pair, Tried, count, pairs


def test_there_are_enough_questions():
    items = [item for language in LANGUAGES for item in read_items(language)]
    assert all((len(item.alike), len(item.others)) == (4, 6) for item in items)
    assert sum(len(item.alike) - 1 for item in items) >= 300
    assert sum(len(item.others) for item in items) >= 600
    texts = [text for item in items for text in (*item.alike, *item.others)]
    assert all(texts)


def test_halves_share_nothing():
    items = read_items("en")
    halves = [held_out(items, held=held) for held in (True, False)]
    assert sorted(map(str, [*halves[0], *halves[1]])) == sorted(map(str, items))
    assert not {str(each) for each in halves[0]} & {str(each) for each in halves[1]}


def test_counting():
    def tried(similarity, *, passes, is_same):
        return Tried(Pair("a", "b", is_same), similarity, passes)

    found = [
        tried(0.9, passes=True, is_same=True), tried(0.9, passes=False, is_same=True),
        tried(0.5, passes=True, is_same=True), tried(0.9, passes=True, is_same=False),
        tried(0.8, passes=False, is_same=False),
    ]  # fmt: skip
    guarded, alone = count(found, 0.7), count(found, 0.7, guarded=False)
    assert (guarded.hits, guarded.of, guarded.wrong, guarded.against) == (1, 3, 1, 2)
    assert (alone.hits, alone.wrong) == (2, 2)
    assert (alone.wrong_ratio, count([], 0.5).hit_ratio) == (1.0, 0.0)


def test_every_pair_is_tried():
    items = read_items("zh")[:1]
    assert sum(pair.is_same for pair in pairs(items)) == 6
    assert sum(not pair.is_same for pair in pairs(items)) == 24
