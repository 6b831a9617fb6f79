"""Additive templates: what is believed, and what is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.counting.draft import Draft, add_joined
from extproc.counting.joints import find_joints
from extproc.counting.template import Template
from extproc.counting.vocabulary import Vocabulary
from tests.extproc.counting.templates import ADDITIVE, ALL, CHATML, PARTS, WORDS
from tests.extproc.counting.vocabularies import small


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def vocabularies(tokenizer):
    return {name: Vocabulary(tokenizer, Template(ALL[name], WORDS), WORDS) for name in ALL}


PIECES = st.sampled_from(
    ["a", "the quick", " ", "\n", "\t", "</think>", "<|im_end|>", "<|eot_id|>", "<|im", "|>", "中", "[INST]", "{{"]
)  # fmt: skip
CONTENTS = st.lists(PIECES, min_size=1, max_size=6).map("".join)
TURNS = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), CONTENTS), max_size=6)


@pytest.mark.parametrize("name", sorted(ADDITIVE))
@settings(deadline=None)
@given(system=st.none() | CONTENTS, turns=TURNS)
def test_the_sum_is_the_count_of_the_whole(vocabularies, name, system, turns):
    own = vocabularies[name]
    talk = [("system", system)] * (system is not None) + turns + [("user", "last")]
    messages = [{"role": role, "content": content} for role, content in talk]
    made = Draft(own)
    if not add_joined(made, own.joints, messages):
        assert any(content.isspace() for _, content in talk) or name == "turns"
        return
    if own.template.loops_over_content:
        parts = [[{"type": "text", "text": m["content"]}] for m in messages]
        messages = [{**m, "content": p} for m, p in zip(messages, parts, strict=True)]
    assert made.finish() == own.tokenizer.count(own.template.render(messages))


@pytest.mark.parametrize("name", ALL)
def test_which_templates_are_additive(vocabularies, name):
    assert (vocabularies[name].joints is not None) == (name in ADDITIVE)


BODY = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


@pytest.mark.parametrize(
    "text",
    [
        "{{ strftime_now('%d') }}" + BODY,
        BODY.replace("{{ m.content }}", "{{ m.content | replace('think', '') }}"),
        BODY.replace("{{ m.content }}", "{{ m.content[:1000] }}"),
        BODY.replace("{{ m.content }}", "{{ m.content | e }}"),
        BODY.replace("{{ m.content }}", "{{ m.content | tojson }}"),
        BODY.replace("{{ m.content }}", "{{ m.content.split('###')[0] }}"),
        BODY.replace("{{ m.content }}", "{{ 'secret' if m.content == 'open' else m.content }}"),
        BODY.replace("{{ m.content }}", "{{ m.content if loop.index < 9 else '' }}"),
        BODY.replace("{{ m.content }}", "{{ m.content if loop.last else m.content[:1] }}"),
        "{{ messages | length }}" + BODY,
        "{{ messages[-1].content }}" + BODY,
        "nothing is said",
        "{{ raise_exception('never') }}",
    ],
)
def test_a_template_that_looks_closer_is_rendered_whole(tokenizer, text):
    assert find_joints(Template(text, WORDS), tokenizer) is None


def test_without_special_tokens_there_is_nothing_to_hold_on_to(tmp_path, tokenizer):
    bare = small(tmp_path, changes={"added_tokens": []})
    assert find_joints(Template(CHATML, WORDS), bare) is None
    assert find_joints(Template(CHATML, WORDS), tokenizer)


@pytest.mark.parametrize(
    ("message", "is_joined"),
    [
        ({"role": "user", "content": "x"}, True),
        ({"role": "user", "content": ""}, False),
        ({"role": "user", "content": " \n"}, False),
        ({"role": "user", "content": None}, False),
        ({"role": "user", "content": [{"type": "text", "text": "x"}]}, False),
        ({"role": "user", "content": "x", "name": "n"}, False),
        ({"role": "tool", "content": "x"}, False),
        ({"role": "developer", "content": "x"}, False),
        ({"role": "assistant", "content": "x"}, False),
    ],
)
def test_what_is_not_plain_is_left_alone(vocabularies, message, is_joined):
    own = vocabularies["chatml"]
    made = Draft(own)
    assert add_joined(made, own.joints, [message]) is is_joined
    assert (made.tokens > 0 or made.missing_chars > 0) is is_joined


def test_system_later_on(vocabularies):
    own = vocabularies["chatml"]
    turns = [{"role": role, "content": "x"} for role in ("user", "system", "user")]
    assert not add_joined(Draft(own), own.joints, turns)


def test_parts_are_joined_as_well(vocabularies):
    assert vocabularies["parts"].template.text == PARTS
    joints = vocabularies["parts"].joints
    assert joints["user", "assistant"].head == "<|im_start|>assistant\n"
    assert joints["user", ""].tokens > 0
