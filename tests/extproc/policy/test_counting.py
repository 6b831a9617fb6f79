"""What a policy may say about counting."""

import pytest
from pydantic import ValidationError

from extproc.counting.images import ImageRule
from extproc.counting.vocabulary import Source, Vocabularies
from extproc.errors import PolicyError
from extproc.policy.counting import ImagePolicy, TokenizerPolicy, load_tokenizers
from tests.extproc.counting.vocabularies import QWEN, write_small

RANKS = {"tiktoken": str(QWEN), "pattern": "qwen"}


@pytest.mark.parametrize(
    "given",
    [
        {"file": "/m/tokenizer.json"},
        {"file": "/m/tokenizer.json", "chat_template": "/m/x.jinja"},
        {"file": "/m/tokenizer.json", "overhead": {"request": 3, "message": 4}},
        RANKS,
        {"tiktoken": "/m/x", "regex": ".", "special_tokens": ["<s>"]},
        {"engine": True, "deadline_ms": 50},
    ],
)
def test_right(given):
    assert TokenizerPolicy.model_validate(given).source() is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "exactly one of file"),
        ({"engine": False}, "True"),
        ({"file": "/a", "engine": True}, "exactly one of file"),
        ({"file": "a"}, "whole path"),
        ({"tiktoken": "/a"}, "pattern or regex"),
        ({**RANKS, "regex": "x"}, "pattern or regex"),
        ({"file": "/a", "pattern": "qwen"}, "pattern or regex"),
        ({"file": "/a", "special_tokens": ["x"]}, "ranks only"),
        ({"tiktoken": "/a", "pattern": "cl10k"}, "cl100k"),
        (
            {"file": "/a", "chat_template": "/b", "overhead": {"request": 1, "message": 1}},
            "not both",
        ),
        ({"file": "/a", "overhead": {"request": -1, "message": 1}}, "greater"),
        ({"engine": True, "chat_template": "/b"}, "knows its chat template"),
        ({"engine": True, "deadline_ms": 0}, "greater"),
        ({"engine": True, "url": "x"}, "Extra"),
    ],
)
def test_wrong(given, said):
    with pytest.raises(ValidationError, match=said):
        TokenizerPolicy.model_validate(given)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"tokens": 500}, ImageRule(500)),
        ({"base": 85, "tile": 170}, ImageRule(0, 85, 170, 512)),
        ({"tile": 256, "tile_px": 448}, ImageRule(0, 0, 256, 448)),
        ({}, None),
        ({"tokens": 5, "tile": 5}, None),
        ({"tokens": 0}, None),
    ],
)
def test_images(given, rule):
    if rule is None:
        with pytest.raises(ValidationError):
            ImagePolicy.model_validate(given)
    else:
        assert ImagePolicy.model_validate(given).rule() == rule


def test_loading_says_what_is_missing_and_where(tmp_path):
    small, broken = write_small(tmp_path), tmp_path / "broken.tiktoken"
    broken.write_text("nonsense")
    given = [
        TokenizerPolicy.model_validate(each) if each else None
        for each in (
            {"file": str(small)}, None, {"engine": True}, {"file": str(tmp_path / "gone")},
            {**RANKS, "tiktoken": str(broken)}, RANKS,
        )
    ]  # fmt: skip
    mistakes = dict(load_tokenizers(given, Vocabularies()))
    assert list(mistakes) == [
        ("models", 3, "tokenizer", "file"),
        ("models", 4, "tokenizer", "tiktoken"),
    ]
    assert "gone: No such file" in mistakes["models", 3, "tokenizer", "file"]
    assert given[0].vocabulary is not None
    assert given[5].vocabulary.tokenizer.count("hello world") == 2


def test_a_policy_that_is_only_looked_at_has_no_vocabulary(tmp_path):
    tokenizer = TokenizerPolicy(file=write_small(tmp_path))
    with pytest.raises(PolicyError, match="without its tokenizers"):
        assert tokenizer.vocabulary
    assert not list(load_tokenizers([tokenizer], Vocabularies()))
    assert tokenizer.vocabulary is not None
    assert TokenizerPolicy(engine=True).vocabulary is None


def test_the_vocabulary_is_no_part_of_what_a_policy_says():
    one, other = (TokenizerPolicy.model_validate(RANKS) for _ in range(2))
    known = Vocabularies()
    assert not list(load_tokenizers([one], known))
    assert one.model_dump() == other.model_dump()
    assert one.source() == other.source() == Source(tiktoken=QWEN, pattern="qwen")
