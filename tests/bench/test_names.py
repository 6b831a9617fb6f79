from bench.names import Row, measure
from sidecars.names.span import Span
from tests.sidecars.names.corpus import Sample, samples


def test_the_corpus_is_the_same_each_time_and_has_both_languages():
    made = samples(1, 400)
    assert made == samples(1, 400)
    assert {sample.language for sample in made} == {"en", "zh"}
    assert all(name in sample.text for sample in made for name in sample.names.values())
    assert any(not sample.names for sample in made)


def test_a_name_is_found_when_it_is_covered_whole():
    sample = Sample("en", "Ask Mona Lee", {"person": "Mona Lee"})
    found = {
        "whole": [Span("person", 4, 12)],
        "wider": [Span("person", 0, 12)],
        "other": [Span("organization", 4, 12)],
        "part": [Span("person", 4, 8)],
        "none": [],
    }
    rows = measure([sample] * len(found), list(found.values()))
    assert rows == [Row("en", "person", names=5, found=3, typed=2, wrong=0)]
    assert rows[0].recall == 0.6


def test_what_is_found_where_nothing_is_counts_as_wrong():
    sample = Sample("en", "Ask me on Monday", {})
    assert measure([sample], [[Span("person", 10, 16)]]) == [Row("en", "person", 0, 0, 0, 1)]
