"""The encoding is a promise to auditors, so it is spelled out here a second time."""

import json
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from ledger.chain import Link, chain_of, entry_hash

texts = st.text(st.characters(exclude_categories=["Cs"]))
content = st.lists(st.none() | texts | st.integers(-(2**63), 2**63 - 1), max_size=50)


@given(content=content, previous=st.binary(min_size=32, max_size=32))
def test_any_program_can_compute_a_hash(content, previous):
    encoded = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    assert entry_hash(previous, content) == sha256(previous + encoded).digest()


def test_one_hash_by_value():
    found = entry_hash(Link().head, [1, "s1", 0, 'é"\\\n\x01', None, -5])
    assert (
        found.hex()
        == sha256(bytes(32) + b'[1,"s1",0,"\xc3\xa9\\"\\\\\\n\\u0001",null,-5]').hexdigest()
    )


def test_requests_of_nobody_known_have_a_chain_of_their_own():
    assert (chain_of("acme"), chain_of(None)) == ("acme", "")
