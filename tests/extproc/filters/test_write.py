"""The body that leaves says what was judged, and fits."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from extproc.budget import MAX_BODY_BYTES
from extproc.errors import Reason
from extproc.filters.write import Write
from extproc.request import Payload, Prompt
from tests.extproc.requests import BARE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(), JSON))
async def test_what_leaves_is_what_was_judged(document):
    decided = await Write().decide(BARE.having(Prompt(document, "m")))
    assert msgspec.json.decode(decided.fact(Payload).raw) == document


async def test_the_last_of_two_members_is_the_only_one():
    document = msgspec.json.decode(b'{"model": "a", "model": "b"}')
    decided = await Write().decide(BARE.having(Prompt(document, "b")))
    assert decided.fact(Payload).raw == b'{"model":"b"}'


async def test_what_grew_too_large_is_refused():
    prompt = Prompt({"prompt": [1e15] * (MAX_BODY_BYTES // 12)}, "m")
    denied = await Write().decide(BARE.having(prompt))
    assert denied.reason is Reason.TOO_LARGE
