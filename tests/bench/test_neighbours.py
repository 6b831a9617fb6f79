"""What it costs to find neighbours is counted right."""

import numpy as np
import pytest

from bench.neighbours import Opened, fill, measure, nothing
from extproc.cache.nearest import Vector
from extproc.stores.questions_memory import MemoryQuestions
from tests.extproc.cache.hearing import vector


@pytest.mark.parametrize("store", ["exact", "hnsw"])
async def test_all_that_is_near_is_found_among_few(store):
    vectors = np.array([vector(number) for number in range(40)])
    figures = await measure(store, vectors, vectors[:20] * np.float32(0.5) + vectors[1:21])
    assert (figures.size, figures.recall > 0.5) == (40, True), "only what is not opposite is found"
    assert figures.find_p50_ms <= figures.find_p99_ms


async def test_each_is_kept_once():
    questions = MemoryQuestions()
    vectors: Vector = np.eye(5, dtype=np.float32)
    _, took = await fill(Opened(questions, lambda: 0.0, lambda: 0), vectors)
    assert (len(took), len(questions), await nothing()) == (5, 5, None)
