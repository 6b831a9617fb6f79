import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engines.localvllm import tokenizer


def encode(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """Byte-pair encoding as a tokenizer applies it: the earliest merge that fits, again and again."""
    letters = tokenizer.byte_letters()
    pieces = tuple(letters[byte] for byte in word.encode())
    for pair in merges:
        pieces = tokenizer.merge(pieces, pair)
    return list(pieces)


def test_the_most_frequent_pair_is_learned_first():
    words = tokenizer.count_words("low low low lower newest newest")
    assert tokenizer.train(words, 3) == [("o", "w"), ("l", "ow"), ("Ġ", "low")]


def test_training_ends_when_no_pair_occurs_twice():
    assert tokenizer.train({("a", "b"): 1, ("c",): 9}, 10) == []


def test_training_does_not_depend_on_the_order_of_words():
    words = tokenizer.count_words(tokenizer.write_text(20))
    backwards = dict(reversed(words.items()))
    assert tokenizer.train(words, 50) == tokenizer.train(backwards, 50)


@given(st.lists(st.sampled_from("ab"), max_size=8))
def test_a_merge_loses_no_letter(letters: list[str]):
    merged = tokenizer.merge(tuple(letters), ("a", "b"))
    assert "".join(merged) == "".join(letters)
    assert ("a", "b") not in pairwise(merged)


def test_each_byte_has_a_visible_letter_of_its_own():
    letters = tokenizer.byte_letters()
    assert len(set(letters)) == 256
    assert all(letter.isprintable() and not letter.isspace() for letter in letters)
    assert letters[ord(" ")] == "Ġ"


def test_a_common_word_is_one_token_and_any_text_has_tokens():
    merges = tokenizer.train(tokenizer.count_words(tokenizer.write_text(200)), 1500)
    vocabulary = tokenizer.vocabulary(merges)
    assert encode(" gateway", merges) == ["Ġgateway"]
    assert all(piece in vocabulary for piece in encode(" 干杯 \x00", merges))


def test_the_file_names_every_token_once_with_the_special_ones_first():
    merges = [("a", "b"), ("ab", "c"), ("b", "c"), ("a", "bc")]
    document = json.loads(tokenizer.tokenizer_json(merges))
    vocabulary = document["model"]["vocab"]
    assert sorted(vocabulary.values()) == list(range(3 + 256 + 3))
    assert [vocabulary[token["content"]] for token in document["added_tokens"]] == [0, 1, 2]
    assert document["model"]["merges"] == [list(pair) for pair in merges]


def test_the_text_is_the_same_each_time():
    assert tokenizer.write_text(30) == tokenizer.write_text(30)
    assert tokenizer.write_text(30) != tokenizer.write_text(30, seed=2)
