"""How vocabularies cut texts into words."""

import json

import pytest

from extproc.counting.patterns import PATTERNS, SPECIALS, cuts_at_words
from tests.extproc.counting.vocabularies import trained

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
SPLIT = {"type": "Split", "pattern": {"Regex": PATTERNS["qwen"]}, "behavior": "Isolated"}


def judge(**changes):
    return cuts_at_words(json.dumps({**json.loads(trained(10)), **changes}).encode())


@pytest.mark.parametrize(
    ("changes", "cuts"),
    [
        ({}, True),
        ({"pre_tokenizer": BYTE_LEVEL}, True),
        ({"pre_tokenizer": BYTE_LEVEL, "normalizer": {"type": "NFC"}}, True),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, BYTE_LEVEL]}}, True),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": []}}, False),
        ({"pre_tokenizer": {**SPLIT, "behavior": "MergedWithNext"}}, False),
        ({"pre_tokenizer": {**SPLIT, "pattern": {"Regex": "."}}}, False),
        ({"pre_tokenizer": {**SPLIT, "pattern": {"String": " "}}}, False),
        ({"pre_tokenizer": {**BYTE_LEVEL, "add_prefix_space": True}}, False),
        ({"pre_tokenizer": {**BYTE_LEVEL, "use_regex": False}}, False),
        ({"pre_tokenizer": {"type": "Metaspace"}}, False),
        ({"pre_tokenizer": None}, False),
        ({"normalizer": {"type": "Prepend", "prepend": "_"}}, False),
        ({"model": {"type": "Unigram"}}, False),
    ],
)
def test_only_known_splits_let_a_text_be_cut(changes, cuts):
    assert judge(**changes) is cuts


def test_every_pattern_has_its_special_tokens():
    assert PATTERNS.keys() == SPECIALS.keys()
    assert all("<|endoftext|>" in names for names in SPECIALS.values())
