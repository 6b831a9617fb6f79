"""A head of one and the tail of all."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.heads import differing, head_of, put_first

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
DOCUMENTS = st.dictionaries(st.sampled_from("abcdef"), JSON, max_size=6)


@given(DOCUMENTS, st.lists(DOCUMENTS, min_size=1, max_size=3))
def test_a_head_of_one_and_the_tail_of_all_are_its_body(first, rest):
    documents = [{"model": str(n), **d} for n, d in enumerate([first, *rest])]
    members = differing(documents[0], documents[1:])
    raw = msgspec.json.encode(put_first(documents[0], members))
    head = head_of(documents[0], members)
    assert raw.startswith(head)
    for document in documents:
        whole = head_of(document, members) + raw[len(head) :]
        assert msgspec.json.decode(whole) == document


def test_what_differs_stands_first():
    first = {"messages": [1], "model": "a", "seed": 1}
    second = {"messages": [1], "model": "b", "top_k": 2, "seed": 1}
    members = differing(first, [second])
    assert members == ["model", "top_k"]
    assert list(put_first(first, members)) == ["model", "messages", "seed"]
    assert head_of(second, members) == b'{"model":"b","top_k":2'
