"""Chat templates."""

import re
from datetime import UTC, datetime

import pytest

from extproc.counting.template import Template
from extproc.counting.tokenizer import CountError, VocabularyError
from tests.extproc.counting import templates
from tests.extproc.counting.templates import WORDS

HI = [{"role": "user", "content": "hi"}]


def render(text, messages=HI, **variables):
    return Template(text, WORDS).render(messages, variables=variables)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{ bos_token }}{{ messages[0].content }}", "<|begin_of_text|>hi"),
        ("{% if add_generation_prompt %}yes{% endif %}", "yes"),
        ("  {% if true %}\n  x\n  {% endif %}", "  x\n"),  # blocks leave no white space
        ("{{ messages | tojson }}", '[{"role": "user", "content": "hi"}]'),
        ('{{ {"b": "<é>", "a": 1} | tojson(sort_keys=true, indent=1) }}', '{\n "a": 1,\n "b": "<é>"\n}'),
        ("{% for m in messages %}{% if m.x %}{% continue %}{% endif %}{{ m.role }}{% endfor %}", "user"),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}!", "hi!"),
        ("{{ tools is none }} {{ missing }} {{ missing is defined }}", "True  False"),
        ("{% macro m() %}{{ messages[0].role }}{% endmacro %}{{ m() }}", "user"),
    ],
)  # fmt: skip
def test_what_templates_may_use(text, rendered):
    assert render(text) == rendered


def year():
    return datetime.now(UTC).astimezone().strftime("%Y")


def test_variables_and_time():
    assert (
        render("{{ x }}{{ add_generation_prompt }}", x=1, add_generation_prompt=False) == "1False"
    )
    assert render("{{ messages[0].content }}", messages=HI, messages_=1) == "hi"
    before, told, after = year(), render("{{ strftime_now('%Y') }}"), year()
    assert told in {before, after}
    assert Template("{{ strftime_now('%Y') }}", {}).tells_time


def test_a_client_cannot_replace_the_conversation():
    assert Template("{{ messages[0].content }}", {}).render(HI, None, {"messages": []}) == "hi"


@pytest.mark.parametrize(
    "text",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ 1 + 'x' }}",
        "{{ missing.x }}",
        "{{ 1 // 0 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{% for i in range(10000000) %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)
def test_a_failure_is_one_kind_of_error_and_tells_no_text(text):
    with pytest.raises(CountError, match="the chat template failed") as raised:
        render(text)
    assert "alternate" not in str(raised.value)


def test_no_template():
    with pytest.raises(VocabularyError, match="line 2: "):
        Template("x\n{% if %}", {})


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        (templates.CHATML, False),
        (templates.PARTS, True),
        ("{% for m in messages %}{% for c in m.content %}{% endfor %}{% endfor %}", True),
        ("{% for c in messages[0]['content'] | list %}{% endfor %}", True),
        ("{% macro r(content) %}{% for c in content[1:] %}{% endfor %}{% endmacro %}", True),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", False),
    ],
)
def test_whether_it_wants_parts(text, loops):
    assert Template(text, WORDS).loops_over_content is loops


def test_what_else_is_seen_at_once():
    thinking = Template(templates.THINKING, WORDS)
    assert "</think>" in thinking.constants
    assert not thinking.knows_developer
    assert Template("{{ 'developer' }}", {}).knows_developer
    strict = "{% for m in messages %}{% if m.role == 'system' and loop.index0 %}{{ raise_exception('') }}{% endif %}{% endfor %}"
    assert Template(templates.CHATML, WORDS).takes_system_later
    assert not Template(strict, {}).takes_system_later


@pytest.mark.parametrize("name", templates.ALL)
def test_all_templates_here_say_what_was_said(name):
    own = Template(templates.ALL[name], WORDS)
    content = [{"type": "text", "text": "hi"}] if own.loops_over_content else "hi"
    assert re.search(r"\bhi\b", own.render([{"role": "user", "content": content}]))
