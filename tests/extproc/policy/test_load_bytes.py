"""Whatever stands in a policy's files, it is loaded or refused with the name of the file."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.errors import PolicyError
from extproc.policy.load import load_sources

A = Path("a.yaml")


def mistakes(raw):
    try:
        load_sources({A: raw if isinstance(raw, bytes) else raw.encode()})
    except PolicyError as exc:
        return str(exc).splitlines()
    return []


def chain(first, link, length):
    """Each alias contains the one before."""
    links = (f"- &a{n} {link.format(f'*a{n - 1}')}\n" for n in range(1, length))
    return f"tenants:\n- &a0 {first}\n{''.join(links)}"


@pytest.mark.parametrize(
    "text",
    [
        "tenants: [{name: 2024-13-45}]",
        "salt: !!int abc",
        "salt: !!int ''",
        "salt: !!float abc",
        "salt: !!bool abc",
        "salt: !!binary abc",
        "salt: !!timestamp abc",
        "salt: !!set [1]",
        "salt: !!python/name:os.system",
        "salt: !x 1",
        "tenants: &a [*a]",
        "tenants: [&a {name: *a}]",
        "tenants: &a {<<: *a}",
        "x: " + "[" * 3000 + "]" * 3000,
        "x: " + "[" * 300_000,
        "x: " + "{a: " * 3000 + "1" + "}" * 3000,
        "".join(" " * depth + "a:\n" for depth in range(400)),
        "- " * 3000,
        "? " * 3000,
        "? " + "[" * 300 + "]" * 300 + "\n: 1",
        chain("[1]", "[{}]", 1000),
        chain("{b: 1}", "{{<<: {}}}", 1000),
        chain("{b: 1}", "{{<<: [{0}, {0}]}}", 90),
        "tenants: " + "9" * 5000,
        "a: 1\0",
        "%YAML 9.9\n---\na: 1",
        "<<: 1",
        "=: 1",
        "? {a: 1}\n: 2",
        "1: 2",
        "null: 1",
        "a: b: c",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_absurd_yaml_is_a_mistake_and_no_fault(text):
    found = mistakes(text)
    assert found
    for line in found:
        assert line.startswith("a.yaml:")
        assert len(line) < 300


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"a: 1\nb: \xff", 2),
        (b"\xff\xfea", 1),
        ("# \N{SNOWMAN}\n\n\na: '\x01'".encode(), 4),
        (b"# \xe2\x98\x83\na: '\xed\xa0\x80'", 2),
        (b"\xc0\xaf", 1),
    ],
)
def test_what_is_no_text_is_one_mistake_with_its_line(raw, line):
    (said,) = mistakes(raw)
    assert said.startswith(f"a.yaml:{line}: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tenants:\n  - name: a\n    name: b\n", 3),
        ("tenants: [{name: a}]\ntenants: [{name: b}]\n", 2),
        ("keys:\n  - id: a\n    digest: b\n    id: c\n", 4),
        ("tenants:\n  - {name: a, 'name': b}\n", 2),
    ],
)
def test_a_member_that_stands_twice_has_its_line(text, line):
    (said,) = mistakes(text)
    assert said.startswith(f"a.yaml:{line}: ")
    assert "twice" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-02-31", "day is out of range for month"),
        ("2026-13-01T00:00:00Z", "month must be in 1..12"),
        ("9" * 5000, "a number of too many digits"),
        ("!!bool x", "a value that is not of its tag's type"),
    ],
)
def test_a_value_that_cannot_be_has_its_line(value, said):
    """Among thousands of keys nobody finds the one without."""
    assert mistakes(f"keys:\n  - id: a\n    expires: {value}\n") == [f"a.yaml:3: {said}"]


def test_the_version_is_not_the_operators():
    (said,) = mistakes("salt: a salt of tests\nversion: mine\n")
    assert said.startswith("a.yaml:2: version: ")


def test_an_empty_section_is_a_mistake_with_its_line():
    """Members that became comments must not pass for a decision to have none."""
    (said,) = mistakes("tenants: []\nkeys:\n#  - id: k\n")
    assert said.startswith("a.yaml:2: keys: ")


@settings(deadline=None)
@given(st.text(st.sampled_from("ab01:-?!&*|>%@[]{}<=,'\"# \n\t~"), max_size=40))
def test_any_characters_of_yaml(text):
    assert all(line.startswith("a.yaml:") for line in mistakes(text))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(raw):
    assert all(line.startswith("a.yaml:") for line in mistakes(raw))
