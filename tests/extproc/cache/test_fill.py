"""Answers pass unchanged, and are there at their end."""

from hypothesis import given
from hypothesis import strategies as st

from extproc.cache.fill import Fill
from tests.extproc.cache.answers import body


@given(st.lists(st.binary(max_size=20)), st.integers(0, 100))
def test_what_passes(chunks, most):
    kept = []
    fill = Fill(most, kept.append)
    whole = b"".join(chunks)
    assert b"".join([*map(fill.feed, chunks), fill.finish()]) == whole
    assert kept == ([whole] if chunks and len(whole) <= most else [])


def test_an_answer_without_an_end_is_not_kept():
    kept = []
    Fill(10_000, kept.append).feed(body())
    assert kept == []
