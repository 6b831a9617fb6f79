"""The lines that matter, wherever they stand."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engines.vllm import NAMES, read_load
from engines.watch.sieve import WHOLE_EVERY, Sieve

RECORDED = (Path(__file__).parents[2] / "fixtures" / "vllm" / "metrics.body").read_bytes()
PLAIN = b'# HELP a x\na 1\nb{x="1"} 2\nb{x="2"} 3\nc 4\n'  # fmt: skip


def test_the_wanted_lines_and_no_others():
    sieve = Sieve([b"a", b"b"])
    assert sieve.sift(PLAIN) == b'a 1\nb{x="1"} 2\nb{x="2"} 3\n'
    assert sieve.sift(PLAIN.replace(b" 3", b" 7")) == b'a 1\nb{x="1"} 2\nb{x="2"} 7\n'


def test_a_text_that_is_cut_stays_one():
    sieve = Sieve([b"a"])
    assert sieve.sift(PLAIN) == b"a 1\n"
    assert sieve.sift(b"# HELP a x\na 1\nb{x=") == b"a 1\nb{x="
    assert sieve.sift(b"") == b""


def test_what_has_moved_is_found():
    sieve = Sieve([b"b"])
    assert sieve.sift(b'a 1\nb{x="1"} 2\n') == b'b{x="1"} 2\n'
    assert sieve.sift(b'b{x="1"} 2\na 1\n') == b'b{x="1"} 2\n'
    assert sieve.sift(b'b{x="2"} 2\na 1\n') == b'b{x="2"} 2\n'
    assert sieve.sift(b'new 1\nb{x="2"} 2\na 1\n') == b'b{x="2"} 2\n'
    assert sieve.sift(b"new 1\nbb 1\na 1\n") == b"", "a longer name is another one"


def test_one_that_took_the_place_of_another_is_found_in_a_while():
    sieve = Sieve([b"a", b"b"])
    sieve.sift(b"a 1\nc 1\n")
    found = [sieve.sift(b"a 1\nb 1\n") for _ in range(WHOLE_EVERY)]
    assert found[-1] == b"a 1\nb 1\n"


def test_what_is_read_of_the_rest_is_what_is_read_of_all():
    sieve = Sieve(NAMES)
    for running in (0, 3, 12, 3):
        text = RECORDED.replace(b"running", b"running").replace(b" 0.0\n", b" %d.0\n" % running)
        kept = sieve.sift(text)
        assert len(kept) < len(text) / 8
        assert read_load(kept) == read_load(text)


LINES = st.lists(
    st.sampled_from([b"a 1", b"a 2", b"ab 1", b'b{x="1"} 1', b'b{x="2"} 5', b"# a", b"", b"c 9"]),
    max_size=8,
)


@given(st.lists(LINES, max_size=6))
def test_nothing_is_invented_and_what_is_left_is_whole(texts):
    sieve = Sieve([b"a", b"b"])
    for lines in texts:
        text = b"".join(line + b"\n" for line in lines)
        kept = sieve.sift(text).split(b"\n")
        assert set(kept) <= {*lines, b""}
        assert all(not line or line[:2] in (b"a ", b"b{") for line in kept)
