"""Strings of a document, changed where they stand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.literals import NAME, quote, rewrite, unquote
from tests.extproc.chunking import recorded

TEXTS = st.text(st.characters(codec=None), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def walk(value, place=()):
    """Every string with its place, as `rewrite` finds them."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*place, index))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield (*place, NAME), name
            yield from walk(item, (*place, name))


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_every_string_is_found_with_its_place(value, ascii_only, indent):
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="surrogatepass")
    found = []

    def note(place, written):
        found.append((place, json.loads(f'"{written}"')))
        return written

    if ascii_only or "\\ud" not in json.dumps(value):
        assert rewrite(raw, note) is raw
        assert found == list(walk(value))


def test_only_what_is_changed_changes():
    raw = b'{ "a" : [1.50, "x", {"b":"x\\u0041"}],\n"c":"x","x":-0}'
    changed = rewrite(raw, lambda place, w: "Y" if place == ("a", 1) else w)
    assert changed == raw.replace(b'"x", {', b'"Y", {')
    renamed = rewrite(raw, lambda place, w: "z" if place == (NAME,) and w == "x" else w)
    assert renamed == raw.replace(b'"x":-0', b'"z":-0')


@pytest.mark.parametrize("raw", recorded("application/json"))
def test_recorded_answers_are_walked(raw):
    found = []
    rewrite(raw, lambda place, written: found.append((place, unquote(written))) or written)
    assert found == list(walk(json.loads(raw)))


@pytest.mark.parametrize("raw", [b"", b'"', b"{]", b'{"a":', b'"x"', b'"x":1', b"[}]", b"\xff"])
def test_what_is_no_json_breaks_nothing(raw):
    assert rewrite(raw, lambda _, written: written) == raw


@given(TEXTS)
def test_literals_are_read_as_written(text):
    assert unquote(quote(text)) == text
    quote(text).encode()
