import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.sim.answer import VOCABULARY, Wish, compose, digest
from engines.sim.tokens import count

SEEN = digest("<|user|>Hello<|end|><|assistant|>")


def test_every_word_is_one_token_and_is_written_in_json_as_it_is():
    assert len(VOCABULARY) == 256
    for piece in VOCABULARY:
        assert count(piece) == 1
        assert msgspec.json.encode(piece) == b'"' + piece.encode() + b'"'


@settings(deadline=None)
@given(
    prompt=st.text(),
    limit=st.integers(1, 120),
    at_least=st.integers(0, 120),
    ignore_eos=st.booleans(),
    first_letters=st.integers(0, 9),
    lead=st.sampled_from(["", " "]),
)
def test_there_is_a_piece_for_every_token(
    prompt: str,
    limit: int,
    at_least: int,
    ignore_eos: bool,
    first_letters: int,
    lead: str,
):
    wish = Wish(at_least=at_least, ignore_eos=ignore_eos, first_letters=first_letters)
    words = compose(digest(prompt), 1, limit, wish, lead)

    end_of_text = words.finish_reason == "stop"
    assert count("".join(words.pieces)) + end_of_text == len(words.pieces) <= limit
    assert end_of_text or len(words.pieces) == limit
    assert not (end_of_text and ignore_eos)
    assert not end_of_text or len(words.pieces) > at_least
    assert words == compose(digest(prompt), 1, limit, wish, lead)


def test_prompt_seed_and_index_each_make_another_answer():
    answers = {
        compose(SEEN, 0, 50, Wish(), "").pieces,
        compose(SEEN, 1, 50, Wish(), "").pieces,
        compose(SEEN, 0, 50, Wish(seed=1), "").pieces,
        compose(digest("other"), 0, 50, Wish(), "").pieces,
    }
    assert len(answers) == 4


def test_an_answer_is_the_same_in_every_process():
    words = compose(SEEN, 0, 6, Wish(), "")
    assert "".join(words.pieces) == "other closed slow table ask nine"


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_stop_string_ends_the_answer_at_the_token_that_completes_it(after: int):
    free = compose(SEEN, 0, 30, Wish(ignore_eos=True), "")
    stop = "".join(free.pieces[after : after + 2])[1:]

    words = compose(SEEN, 0, 30, Wish(ignore_eos=True, stop=("not in it", stop)), "")

    assert words.finish_reason == "stop"
    assert words.stop_reason == stop
    assert len(words.pieces) == after + 2
    shown = "".join(words.pieces)
    assert shown + stop == "".join(free.pieces)[: len(shown) + len(stop)]
    assert stop not in shown


def test_without_its_stop_string_an_answer_ends_as_ever():
    wish = Wish(stop=("never said",))
    assert compose(SEEN, 0, 90, wish, "") == compose(SEEN, 0, 90, Wish(), "")


def test_a_huge_word_is_one_token():
    words = compose(SEEN, 0, 3, Wish(first_letters=100_000), "")
    assert words.pieces[0] == "a" * 100_000
    assert count("".join(words.pieces)) == 3
