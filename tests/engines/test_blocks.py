from hypothesis import given
from hypothesis import strategies as st

from engines.blocks import chain, chain_bytes, root, token_bytes


@given(text=st.binary(max_size=400), size=st.integers(1, 64))
def test_whole_blocks_are_chained_one_after_the_other(text, size):
    hashes = chain_bytes("acme", text, size)
    assert len(hashes) == len(text) // size
    parent = root("acme")
    for number, hash_ in enumerate(hashes):
        parent = chain(parent, text[number * size : (number + 1) * size])
        assert hash_ == parent


@given(one=st.binary(max_size=64), other=st.binary(max_size=64))
def test_hashes_are_equal_as_far_as_the_beginnings_are(one, other):
    equal = 0
    while equal < min(len(one), len(other)) and one[equal] == other[equal]:
        equal += 1
    pairs = list(zip(chain_bytes("s", one, 4), chain_bytes("s", other, 4), strict=False))
    assert all((a == b) == ((at + 1) * 4 <= equal) for at, (a, b) in enumerate(pairs))


def test_another_salt_is_another_chain():
    text = b"the same system prompt"
    assert set(chain_bytes("acme", text, 4)).isdisjoint(chain_bytes("globex", text, 4))


def test_token_ids_are_bytes_of_fixed_width():
    assert token_bytes([1, 256]) == b"\x01\0\0\0\0\x01\0\0"
    assert token_bytes([]) == b""
