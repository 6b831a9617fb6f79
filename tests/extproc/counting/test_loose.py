"""Unchecked parts of JSON."""

import pytest

from extproc.counting.loose import as_object, as_objects


@pytest.mark.parametrize("given", [None, 1, "x", [], True])
def test_what_is_no_object_is_an_empty_one(given):
    assert as_object(given) == {}


def test_objects_are_kept():
    assert as_object({"a": 1}) == {"a": 1}
    assert as_objects([{"a": 1}, "x", None, {}, [{}]]) == [{"a": 1}, {}]
    assert as_objects({"a": 1}) == as_objects(None) == []
