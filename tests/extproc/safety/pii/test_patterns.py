"""The table of patterns: whole, and each with a trigger that is never narrower."""

import pytest

from extproc.safety.masked import TAG_LETTERS
from extproc.safety.pii.engine import Said, compile_one, shipped
from extproc.safety.pii.finding import resolve
from extproc.safety.pii.keys import KEY_PATTERNS, KEY_TRIGGERS
from extproc.safety.pii.patterns import LOOKALIKE, PATTERNS, TRIGGERS
from extproc.safety.pii.rules import TYPES


def found(text):
    return [
        (each.type, text[each.start : each.end])
        for each in resolve(shipped().find([Said(text)])[0])
    ]


def test_every_pattern_has_its_trigger_and_its_type():
    patterns = (*PATTERNS, *KEY_PATTERNS)
    assert {each.trigger for each in patterns} == {*TRIGGERS, *KEY_TRIGGERS}
    assert {each.type for each in patterns} == TYPES | {LOOKALIKE}
    assert len(patterns) >= 40


@pytest.mark.parametrize(
    "pattern", [*PATTERNS, *KEY_PATTERNS], ids=lambda each: each.expression[:20]
)
def test_every_pattern_has_one_group(pattern):
    assert compile_one(pattern.expression).groups == 1


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("x@y.zz.example.com.", "email", "x@y.zz.example.com"),
        ("o'b.@1.2.example.com", "email", "o'b.@1.2.example.com"),
        ("john(at)example(dot)com", "email", "john(at)example(dot)com"),
        ("Tel: 020 7946 0958", "phone", "020 7946 0958"),
        ("电话01062345678", "phone", "01062345678"),
        ("0086 138 0013 8000", "phone", "0086 138 0013 8000"),
        ("id A123456(3).", "resident_id", "A123456(3)"),
        ("SSN 123-45-6789", "ssn", "123-45-6789"),
        ("粤Z1234港", "plate", "粤Z1234港"),
        ("passport C12345678", "passport", "C12345678"),
        ("fe80::1%eth0", "ip_address", "fe80::1"),
        ("http://10.2.3.4:80/", "ip_address", "10.2.3.4"),
        ("?token=abcdefgh1234&x=1", "url_credentials", "abcdefgh1234"),
        ("1990年3月7日出生", "birth_date", "1990年3月7日"),
        ("生于一九九〇年三月七日", "birth_date", "一九九〇年三月七日"),
        ("Authorization: Bearer abc.def-123456789012", "api_key", "abc.def-123456789012"),
        ("密码:Passw0rd!x", "api_key", "Passw0rd!x"),
        ("上海市浦东新区世纪大道100号", "address", "上海市浦东新区世纪大道100号"),
        ("at 221B Baker Street, London NW1 6XE.", "address", "221B Baker Street, London NW1 6XE"),
    ],
)
def test_forms_that_the_corpus_has_not(text, type_, value):
    assert (type_, value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3.4.5",
        "v10.2.3.4",
        "生产日期1990-03-07",
        "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "9007199254740993",
        "2026-11-20 11:41:16.123456",
        "f(x) = 3.14159265358979",
        "import a.b; a@b",
        "4111111111111112",
    ],
)
def test_what_is_nobodys(text):
    assert found(text) == []


TAG = TAG_LETTERS[:8]


@pytest.mark.parametrize(
    "text",
    [
        f"<EMAIL_{TAG}>",
        f"email_{TAG.lower()}",
        f"< Email_{TAG} >",
        f"BANK\\_CARD\\_{TAG}",
        f"x{f'A_{TAG}'}",
    ],
)
def test_what_looks_like_a_placeholder_in_any_form(text):
    kinds = [kind for kind, _ in found(f"say {text}, please")]
    assert kinds == [LOOKALIKE]
