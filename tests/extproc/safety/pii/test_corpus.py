"""How much of what is there is found, and how much else: over the corpus."""

from collections import Counter

import pytest

from bench.pii import measure
from extproc.safety.pii.rules import TYPES
from tests.extproc.safety.pii.corpus import negatives, positives

LEAST_RECALL, LEAST_PRECISION = 0.99, 0.97


@pytest.fixture(scope="module")
def rows():
    return measure(list(positives()), list(negatives()))


def test_the_corpus_is_large_and_of_every_type():
    counts = Counter(sample.type for sample in positives())
    assert sum(counts.values()) >= 1000
    assert set(counts) == TYPES - {"ssn"}
    assert min(counts.values()) >= 20
    assert sum(1 for _ in negatives()) >= 500
    assert len({sample.text for sample in negatives()}) >= 450
    assert any("\u4e00" <= c <= "\u9fff" for sample in positives() for c in sample.text)


def test_recall_and_precision(rows):
    found = sum(row.found for row in rows)
    wrong = sum(row.wrong for row in rows)
    assert found / sum(row.count for row in rows) >= LEAST_RECALL
    assert found / (found + wrong) >= LEAST_PRECISION


def test_no_type_is_much_worse_than_the_others(rows):
    for row in rows:
        if row.count:
            assert row.found / row.count >= 0.97, row.type
            assert row.exact / row.count >= 0.85, row.type
