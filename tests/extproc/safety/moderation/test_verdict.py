"""What services say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import DetectorError
from extproc.safety.moderation.verdict import name_of, read_chat, read_moderations, read_verdict


@pytest.mark.parametrize(
    ("said", "scores"),
    [
        ("safe", {}),
        ("\n\nsafe", {}),
        ("unsafe\nS1", {"violent_crimes": 1.0}),
        ("\n\nunsafe\nS1,S10", {"violent_crimes": 1.0, "hate": 1.0}),
        ("unsafe\nS99, O3", {"s99": 1.0, "o3": 1.0}),
        ("unsafe", {"unsafe": 1.0}),
        ("Safety: Safe\nCategories: None", {}),
        ("Safety: Unsafe\nCategories: Violent", {"violent": 1.0}),
        (
            "Safety: Unsafe\nCategories: Suicide & Self-Harm, PII\nRefusal: No",
            {"suicide_self_harm": 1.0, "pii": 1.0},
        ),
        (
            "Safety: Controversial\nCategories: Politically Sensitive Topics",
            {"politically_sensitive_topics": 0.5},
        ),
        ("Safety: Unsafe\nCategories: None", {"unsafe": 1.0}),
        ("Yes", {"unsafe": 1.0}),
        ("No, it does not", {}),
    ],
)
def test_verdicts(said, scores):
    assert read_verdict(said) == scores
    raw = json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]})
    assert read_chat(raw.encode()) == scores


@pytest.mark.parametrize("said", ["", "I cannot say", "Safety: Perhaps", "nothing is unsafe", "S1"])
def test_what_is_no_verdict(said):
    with pytest.raises(DetectorError):
        read_verdict(said)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no",
        b"[]",
        b"{}",
        b'{"choices":[]}',
        b'{"choices":[{"message":{"content":null}}]}',
        b"\xff",
    ],
)
def test_what_is_no_chat(raw):
    with pytest.raises(DetectorError):
        read_chat(raw)


@pytest.mark.parametrize(
    ("result", "scores"),
    [
        (
            {"flagged": True, "category_scores": {"violence/graphic": 0.9, "self-harm": 0.1}},
            {"violence_graphic": 0.9, "self_harm": 0.1},
        ),
        (
            {"flagged": True, "categories": {"hate": True, "sexual": False}},
            {"hate": 1, "sexual": 0},
        ),
        ({"flagged": True}, {"unsafe": 1.0}),
        ({"flagged": False}, {}),
    ],
)
def test_moderations(result, scores):
    assert read_moderations(json.dumps({"results": [result]}).encode(), 1) == [scores]


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b'{"results":[{},{}]}', b'{"results":[{"category_scores":{"a":"b"}}]}']
)
def test_what_is_no_moderation(raw):
    with pytest.raises(DetectorError):
        read_moderations(raw, 1)


@given(st.text())
def test_any_text_is_a_verdict_or_a_fault(said):
    try:
        scores = read_verdict(said)
    except DetectorError:
        return
    assert all(name and name == name_of(name) and 0 < s <= 1 for name, s in scores.items())
