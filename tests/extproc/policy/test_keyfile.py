"""Editing keys in YAML: what changes, and that nothing else does."""

from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from extproc.policy.keyfile import EditError, append, edited, remove, rotate

NEW = "n" * 64
UNTIL = datetime(2030, 1, 31, tzinfo=UTC)
RETIRED = f"{{digest: OLD, until: {UNTIL:%Y-%m-%d}T00:00:00Z}}"
ENTRY = {"id": "new", "digest": "d", "tenant": "acme", "groups": ["a", "b"], "expires": UNTIL}

COMMENTED = """\
# Who may come in.
salt: "quoted on purpose"   # keep

keys:
  # The first one.
  - id: one        # aligned
    digest:   OLD  # of 2024
    tenant: acme

  # The second one.
  - id: two
    digest: OTHER
    tenant: 'acme'
  # after all keys

pools: []
"""


def cut(text, gone):
    assert gone in text
    return text.replace(gone, "")


def test_remove_leaves_all_other_lines_alone():
    gone = "  - id: one        # aligned\n    digest:   OLD  # of 2024\n    tenant: acme\n"
    assert remove(COMMENTED, "one") == cut(COMMENTED, gone)
    gone = "  - id: two\n    digest: OTHER\n    tenant: 'acme'\n"
    assert remove(COMMENTED, "two") == cut(COMMENTED, gone)


def test_rotate_changes_one_line_and_adds_two():
    after = rotate(COMMENTED, "one", NEW, UNTIL)
    line = "    digest:   OLD  # of 2024\n"
    new = line.replace("OLD", NEW) + f"    retiring:\n      - {RETIRED}\n"
    assert after == COMMENTED.replace(line, new)


def test_append_comes_after_the_last_key():
    after = append(COMMENTED, ENTRY)
    line = "    tenant: 'acme'\n"
    new = (
        "  - id: new\n    digest: d\n    tenant: acme\n    groups: [a, b]\n"
        "    expires: 2030-01-31T00:00:00Z\n"
    )
    assert after == COMMENTED.replace(line, line + new)


STYLES = {
    "block": "keys:\n  - id: one\n    digest: OLD\n    tenant: acme\n",
    "at the margin": "keys:\n- id: one\n  digest: OLD\n  tenant: acme\n",
    "wide": "keys:\n    -   id: one\n        digest: OLD\n        tenant: acme\n",
    "dash on its own line": "keys:\n  -\n    id: one\n    digest: OLD\n    tenant: acme\n",
    "braces": "keys:\n  - {id: one, digest: OLD, tenant: acme}\n",
    "braces over lines": "keys:\n  - {id: one,\n     digest: OLD,\n     tenant: acme}\n",
    "quotes": "keys:\n  - \"id\": 'one'\n    digest: \"OLD\"\n    'tenant': acme\n",
    "digest last": "keys:\n  - id: one\n    tenant: acme\n    digest: OLD\n",
    "no line end": "keys:\n  - id: one\n    tenant: acme\n    digest: OLD",
    "comment on the section": "keys: # of: all\n  - id: one\n    digest: OLD\n    tenant: acme\n",
    "a word before": "more-keys: 1\nkeys:\n  - {id: one, digest: OLD, tenant: acme}\n",
    "dashes in values": "keys:\n  - id: one # a - b\n    digest: OLD\n    tenant: a-b\n",
    "windows": "keys:\r\n  - id: one\r\n    digest: OLD\r\n    tenant: acme\r\n",
    "others follow": "keys:\n  - id: one\n    digest: OLD\n    tenant: acme\ntenants:\n  - name: a\n",
    "a block of text": "keys:\n  - id: one\n    digest: OLD\n    tenant: >-\n      acme\nsalt: x\n",
    "block retiring": (
        "keys:\n  - id: one\n    digest: OLD\n    retiring:\n"
        "      - digest: OLDER\n        until: 2029-01-01T00:00:00Z\n    tenant: acme\n"
    ),
    "retiring in brackets": (
        "keys:\n  - id: one\n    digest: OLD\n"
        "    retiring: [{digest: OLDER, until: 2029-01-01T00:00:00Z}]\n    tenant: acme\n"
    ),
    "empty retiring": "keys:\n  - id: one\n    digest: OLD\n    retiring: []\n    tenant: acme\n",
    "retiring in braces": (
        "keys:\n  - {id: one, retiring: [{digest: O, until: 2029-01-01}], digest: OLD, tenant: a}\n"
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_any_style_is_edited(style):
    text = STYLES[style]
    (before,) = edited(text)
    assert edited(append(text, ENTRY)) == [before, ENTRY]
    assert edited(append(append(text, ENTRY), {**ENTRY, "id": "more"}))[2]["id"] == "more"
    (after,) = edited(rotate(text, "one", NEW, UNTIL))
    retired = [*(before.get("retiring") or []), {"digest": "OLD", "until": UNTIL}]
    assert after == {**before, "digest": NEW, "retiring": retired}
    twice = edited(rotate(rotate(text, "one", NEW, UNTIL), "one", "x", UNTIL))[0]
    assert twice["retiring"] == [*retired, {"digest": NEW, "until": UNTIL}]


@pytest.mark.parametrize("style", STYLES)
def test_the_last_key_leaves_an_empty_list(style):
    text = STYLES[style]
    gone = remove(text, "one")
    whole, rest = (yaml.safe_load(each) for each in (text, gone))
    assert rest == {**whole, "keys": []}
    assert edited(append(gone, ENTRY)) == [ENTRY], "and it can be filled again"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("which", ["one", "new"])
def test_one_of_two_goes(style, which):
    text = STYLES[style]
    both = append(text, ENTRY)
    (left,) = edited(remove(both, which))
    assert left == (ENTRY if which == "one" else edited(text)[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "keys:\n  - id: x\n"),
        ("# nothing yet\n", "# nothing yet\n\nkeys:\n  - id: x\n"),
        ("salt: a", "salt: a\n\nkeys:\n  - id: x\n"),
        ("keys: []\n", "keys:\n  - id: x\n"),
        ("keys: [] # none\nsalt: a\n", "keys:\n  - id: x # none\nsalt: a\n"),
    ],
)
def test_the_first_key(text, expected):
    assert append(text, {"id": "x"}) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("salt: a\n", "the file has no `keys`"),
        ("keys: {one: 1}\n", "not written as a list"),
        ("keys: [{id: two, digest: OLD}]\n", "there is no key 'one'"),
        ("keys:\n  - {id: one}\n", "no digest of its own"),
        ("keys:\n  - {id: one, digest: OLD, retiring: later}\n", "`retiring` is not"),
    ],
)
def test_what_cannot_be_rotated(text, said):
    with pytest.raises(EditError, match=said):
        rotate(text, "one", NEW, UNTIL)


def test_brackets_are_left_to_people():
    text = "keys: [{id: one, digest: OLD, tenant: acme}]\n"
    with pytest.raises(EditError, match="in brackets"):
        remove(text, "one")
    with pytest.raises(EditError, match="in brackets"):
        append(text, ENTRY)
    (after,) = edited(rotate(text, "one", NEW, UNTIL))
    assert after["digest"] == NEW


@pytest.mark.parametrize("value", ["yes", "1e5", "a: b", "#x", "2030-01-01", "", "null", "-", "é"])
def test_values_that_look_like_others_keep_their_meaning(value):
    (entry,) = edited(append("", {"id": value, "groups": [value]}))
    assert entry == {"id": value, "groups": [value]}


# Written without quotes below, so not `on` and the like, which YAML takes for something else.
IDS = st.lists(st.from_regex(r"k[a-z0-9-]{0,8}", fullmatch=True), unique=True, min_size=1)
COMMENTS = st.sampled_from(["", "  # why\n", "# a: - b\n", "\n", "\n\n  # - id: gone\n"])


@given(IDS, st.lists(COMMENTS, min_size=1), st.data())
def test_any_series_of_edits_means_what_it_says(ids, comments, data):
    text = "".join(
        f"{comments[number % len(comments)]}  - id: {key}\n    digest: d{key}\n"
        for number, key in enumerate(ids)
    )
    text = f"keys:\n{text}"
    comments_before = [line for line in text.splitlines() if line.strip().startswith("#")]
    meant = edited(text)
    for key in data.draw(st.lists(st.sampled_from(ids), unique=True)):
        text = rotate(text, key, f"new-{key}", UNTIL)
        entry = next(each for each in meant if each["id"] == key)
        entry["retiring"] = [{"digest": entry["digest"], "until": UNTIL}]
        entry["digest"] = f"new-{key}"
    for key in data.draw(st.lists(st.sampled_from(ids), unique=True)):
        text = remove(text, key)
        meant = [each for each in meant if each["id"] != key]
    text = append(text, {"id": "9", "digest": "x"})
    assert edited(text) == [*meant, {"id": "9", "digest": "x"}]
    assert [line for line in text.splitlines() if line.strip().startswith("#")] == comments_before
