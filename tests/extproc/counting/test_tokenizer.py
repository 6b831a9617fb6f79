"""Text -> tokens."""

import base64
import json
import threading

import pytest
import tiktoken
from tokenizers import Tokenizer

from extproc.counting.patterns import PATTERNS
from extproc.counting.tokenizer import (
    CountError,
    HfTokenizer,
    TiktokenTokenizer,
    VocabularyError,
    as_count_error,
    read_ranks,
)
from tests.extproc.counting.vocabularies import ENGLISH, QWEN, qwen, small, write_small

TEXTS = [
    "",
    "x",
    ENGLISH,
    "你好\uff0c世界 🙂 é\u0301",
    "<|im_start|>user\nhi<|im_end|>",
    " \n\t ",
    "\x00\ufffd",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_tokenizer_file_counts_as_its_library_does(tmp_path, text):
    path = write_small(tmp_path)
    library = Tokenizer.from_file(str(path))
    assert HfTokenizer(path).count(text) == len(library.encode(text, add_special_tokens=False))


def test_ranks_count_as_tiktoken_does():
    ranks = read_ranks(QWEN)
    special = {token: len(ranks) + n for n, token in enumerate(qwen().specials)}
    library = tiktoken.Encoding(
        "q", pat_str=PATTERNS["qwen"], mergeable_ranks=ranks, special_tokens=special
    )
    for text in TEXTS:
        assert qwen().count(text) == len(library.encode(text, allowed_special="all"))


def test_known_counts():
    """As documented by Qwen and OpenAI: words, digits one by one, special tokens."""
    assert qwen().count("hello world") == 2
    assert qwen().count("12345") == 5
    assert qwen().count("<|im_start|>user\nhello<|im_end|>\n") == 6
    assert TiktokenTokenizer(QWEN, "cl100k").count("123456") == 6
    assert TiktokenTokenizer(QWEN, regex=".").count("hello") == 5
    assert TiktokenTokenizer(QWEN, "qwen", specials=["<x>"]).count("<x>") == 1


def test_what_a_file_says_beside_its_vocabulary(tmp_path):
    plain = small(tmp_path)
    assert (plain.framing, plain.cuts) == (0, True)
    assert "<|im_start|>" in plain.specials
    assert small(tmp_path, first="<|begin_of_text|>").framing == 1
    shortened = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    assert small(tmp_path, changes={"truncation": shortened}).count(ENGLISH) == plain.count(ENGLISH)


def test_a_special_token_that_is_no_fixed_point(tmp_path):
    token = {"id": 5, "special": False, "lstrip": False, "rstrip": False}
    added = [
        {**token, "content": "alone", "single_word": True, "normalized": False},
        {**token, "content": "New York", "single_word": False, "normalized": True, "id": 6},
    ]
    found = small(tmp_path, changes={"added_tokens": added})
    assert not found.specials
    assert not found.cuts


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "no tokenizer"),
        (b"\xff", "no tokenizer"),
        (b"{}", "no tokenizer"),
        (b"[1]", "no tokenizer"),
        (b'{"model": {"type": "BPE"}}', "no tokenizer"),
    ],
)
def test_a_broken_tokenizer_file(tmp_path, content, said):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VocabularyError, match=said) as raised:
        HfTokenizer(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no tokens"),
        (b"<html>\n", "line 1 is not"),
        (b"IQ== 0\nIg==\n", "line 2 is not"),
        (b"IQ== 0\n!!!! 1\n", "line 2 is not"),
        (b"IQ== zero\n", "line 1 is not"),
        (b"IQ== 0\n", "no tokenizer"),  # not every byte has a token
    ],
)
def test_broken_ranks(tmp_path, content, said):
    path = tmp_path / "x.tiktoken"
    path.write_bytes(content)
    with pytest.raises(VocabularyError, match=said):
        TiktokenTokenizer(path, "qwen")


def test_a_broken_expression(tmp_path):
    path = tmp_path / "x.tiktoken"
    lines = (f"{base64.b64encode(bytes([n])).decode()} {n}" for n in range(256))
    path.write_text("\n".join(lines))
    assert TiktokenTokenizer(path, regex=".").count("abc") == 3
    with pytest.raises(VocabularyError, match="no tokenizer"):
        TiktokenTokenizer(path, regex="(")


def test_a_monstrous_text_is_no_crash():
    """Too much for the regular expression: it says so, and somebody else estimates."""
    with pytest.raises(CountError):
        qwen().count(" " * 1_000_000)


def test_a_panic_is_taken_for_what_it_is():
    class PanicException(BaseException):
        pass

    assert isinstance(as_count_error(PanicException()), CountError)
    assert isinstance(as_count_error(ValueError("secret")), CountError)
    assert "secret" not in str(as_count_error(ValueError("secret")))
    stop = KeyboardInterrupt()
    assert as_count_error(stop) is stop


def test_threads_may_share_one(tmp_path):
    for tokenizer in (small(tmp_path), qwen()):
        found = []
        threads = [
            threading.Thread(target=lambda f=found, t=tokenizer: f.append(t.count(ENGLISH)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [tokenizer.count(ENGLISH)] * 4


def test_the_file_is_json_as_written(tmp_path):
    assert json.loads(write_small(tmp_path).read_text())["model"]["type"] == "BPE"
