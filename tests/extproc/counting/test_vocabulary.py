"""Files -> a vocabulary with its chat template."""

import gc
import json
import os

import pytest

from extproc.counting.tokenizer import VocabularyError
from extproc.counting.vocabulary import CHATML as CHATML_OVERHEAD
from extproc.counting.vocabulary import Source, Vocabularies, load, read_words
from tests.extproc.counting.templates import CHATML, LLAMA, PARTS, WORDS
from tests.extproc.counting.vocabularies import QWEN, write_small


@pytest.fixture
def tokenizer(tmp_path):
    return write_small(tmp_path)


def configure(tokenizer, **members):
    (tokenizer.parent / "tokenizer_config.json").write_text(json.dumps(members))


def test_a_template_in_the_configuration(tokenizer):
    configure(tokenizer, chat_template=LLAMA, **WORDS)
    found = load(Source(file=tokenizer))
    assert found.template.text == LLAMA
    assert found.template.render([{"role": "user", "content": "x"}]).startswith("<|begin_of_text|>")
    assert found.joints


def test_a_template_of_several(tokenizer):
    named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": CHATML}]
    configure(tokenizer, chat_template=named)
    assert load(Source(file=tokenizer)).template.text == CHATML
    configure(tokenizer, chat_template=named[:1])
    assert load(Source(file=tokenizer)).template is None


def test_a_file_beside_goes_first_and_the_policys_before_it(tokenizer, tmp_path):
    configure(tokenizer, chat_template=LLAMA)
    (tokenizer.parent / "chat_template.jinja").write_text(CHATML)
    assert load(Source(file=tokenizer)).template.text == CHATML
    own = tmp_path / "own.jinja"
    own.write_text(PARTS)
    assert load(Source(file=tokenizer, chat_template=own)).template.text == PARTS
    assert load(Source(tiktoken=QWEN, pattern="qwen", chat_template=own)).template.text == PARTS


def test_numbers_stand_for_a_template(tokenizer):
    configure(tokenizer, chat_template=CHATML)
    found = load(Source(file=tokenizer, overhead=(1, 2)))
    assert (found.template, found.overhead) == (None, (1, 2))
    bare = load(Source(tiktoken=QWEN, pattern="qwen"))
    assert (bare.template, bare.overhead) == (None, CHATML_OVERHEAD)


def test_words_may_be_objects():
    given = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": None, "x": "y"}
    assert read_words(given) == {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer.json", "{", "tokenizer.json: no tokenizer"),
        ("tokenizer_config.json", "[]", "tokenizer_config.json: not a JSON object"),
        ("chat_template.jinja", "\n{% if %}", "chat_template.jinja: no chat template: line 2"),
        ("chat_template.jinja", b"\xff", "chat_template.jinja: not UTF-8"),
    ],
)
def test_what_is_broken_is_named(tokenizer, name, content, said):
    raw = content if isinstance(content, bytes) else content.encode()
    (tokenizer.parent / name).write_bytes(raw)
    with pytest.raises(VocabularyError, match=said):
        load(Source(file=tokenizer))


def test_what_is_missing_is_named(tokenizer, tmp_path):
    with pytest.raises(VocabularyError, match=r"gone\.jinja: No such file"):
        load(Source(file=tokenizer, chat_template=tmp_path / "gone.jinja"))
    with pytest.raises(VocabularyError, match="no file"):
        load(Source())


def test_it_is_read_again_only_when_a_file_changed(tokenizer):
    known = Vocabularies()
    first = known.load(Source(file=tokenizer))
    assert known.load(Source(file=tokenizer)) is first
    assert known.load(Source(file=tokenizer, overhead=(1, 1))) is not first
    configure(tokenizer, chat_template=CHATML)
    second = known.load(Source(file=tokenizer))
    assert second is not first
    assert second.template
    os.utime(tokenizer, ns=(1, 1))
    assert known.load(Source(file=tokenizer)) is not second


def test_what_no_policy_uses_is_forgotten(tokenizer):
    known = Vocabularies()
    known.load(Source(file=tokenizer))
    gc.collect()
    assert not known._loaded


def test_places_where_a_prompt_can_be_held(tokenizer):
    configure(tokenizer, chat_template=LLAMA, **WORDS)
    found = load(Source(file=tokenizer))
    text = found.template.render([{"role": "user", "content": "<|im_start|>"}])
    held = [each.group() for each in found.find_holds(text)]
    assert held[0] == "<|begin_of_text|>"
    assert (
        "<|im_start|>" not in held
    )  # no token of this template: it is counted with what is around it
    assert list(load(Source(tiktoken=QWEN, pattern="qwen")).find_holds(text)) == []
