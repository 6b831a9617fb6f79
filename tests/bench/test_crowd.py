"""Hits in a crowd are counted right."""

import numpy as np
import pytest

from bench.crowd import Crowd, Served, ask_each, gather
from extproc.cache.embedding import DIMS
from extproc.cache.nearest import Exact


def test_near_misses_stand_in_the_way_of_one_who_asks_only_the_nearest():
    texts = ["How do I open door 1?", "Please, how can I open door 1?", "How do I open door 2?"]
    vectors = np.zeros((3, DIMS), np.float32)
    vectors[:, 0] = 1
    vectors[1, 1] = 0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    crowd = Crowd(texts, [1, 1, 2], vectors)
    assert ask_each(crowd, Exact, 1) == Served(asked=2, right=1, wrong=0)
    assert ask_each(crowd, Exact, 2) == Served(asked=2, right=2, wrong=0)
    assert ask_each(Crowd(texts, [1, 2, 2], vectors), Exact, 2).wrong > 0


@pytest.fixture(scope="module")
def crowd():
    return gather(held=True)


def test_all_questions_are_in_it(crowd):
    assert len(crowd.texts) == len(crowd.families) == len(crowd.vectors) > 500
    assert sum(crowd.families.count(family) == 4 for family in set(crowd.families)) > 50


def test_wrong_hits_stay_below_the_goal(crowd):
    """Every held-out question, with all others in the cache."""
    served = ask_each(crowd, Exact, 16)
    assert served.wrong / served.asked < 0.005
    assert served.right / served.asked > 0.7
