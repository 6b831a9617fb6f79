"""The patterns of placeholders. What is restored, and what is not, is in `test_restore.py`."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.safety.forms import Forms, begun_pattern, forms, pattern_of
from extproc.safety.masked import LONGEST, TAG_LETTERS
from extproc.safety.restore import Restore

TYPES = frozenset({"EMAIL", "CN_ID", "PRIVATE_KEY"})
FORMS = Forms(TYPES)
TAGS = st.text(TAG_LETTERS, min_size=8, max_size=8)
OPENS = st.sampled_from(["<", "< ", "&lt;", "\\<", "\\u003c", "\\\\u003C ", ""])
CLOSES = st.sampled_from([">", " >", "&gt;", "\\>", "\\u003e", "\\\\u003E", ""])


@st.composite
def written(draw):
    """A placeholder, in any form that is taken for one."""
    opened = draw(OPENS)
    name = draw(st.sampled_from(sorted(TYPES))).replace("_", draw(st.sampled_from(["_", "\\_"])))
    word = f"{name}{draw(st.sampled_from(['_', chr(92) + '_']))}{draw(TAGS)}"
    if opened:
        word = draw(st.sampled_from([word, word.lower(), word.title()]))
    return opened + word + (draw(CLOSES) if opened else "")


@given(written())
def test_every_beginning_is_held(text):
    for end in range(1, len(text)):
        assert FORMS.find_tail(text[:end], 0) == 0, text[:end]
        assert FORMS.find_tail(f"see {text[:end]}", 0) == 4
    found = FORMS.whole.fullmatch(text)
    assert found
    assert len(text) <= FORMS.longest


@given(written(), st.integers(0, 80), st.booleans())
def test_no_beginning_passes_unseen(text, end, ascii_only):
    """Whatever would be held at the end of a string, or be restored, is seen in the JSON of it."""
    raw = json.dumps({"finish_reason": None, "content": f"é {text[:end]}"}, ensure_ascii=ascii_only)
    assert FORMS.may_be_in(raw.encode()) or not text[:end]
    if FORMS.whole.search(text[:end]):
        assert FORMS.may_stand(raw.encode())


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "snake_case_names and CAPITALS",
        "a\nline",
        "e",
        "email",
        "Emails",
        "1 > 0",
        "中文",
    ],
)
def test_most_texts_pass_at_a_glance(text):
    raw = json.dumps({"EMAIL": 1, "finish_reason": "stop", "content": text}).encode()
    assert not FORMS.may_be_in(raw)


@pytest.mark.parametrize(
    "text", ["Ask M", "x > E Z", "<b", "EMAIL_AEIOU", "EMAIL_KXWQPTZB ", "<EMAIL x"]
)
def test_what_can_be_no_beginning_is_not_held(text):
    assert FORMS.find_tail(text, 0) == len(text)


def test_beginnings():
    assert forms(TYPES) is forms(frozenset(TYPES))
    assert pattern_of("A_B").count("_") == 1
    assert begun_pattern("AB") == "A(?:B)?"
    assert FORMS.longest > LONGEST
    restore = Restore({"<EMAIL_KXWQPTZB>": "x"}, lambda: None)
    assert not restore.may_change(b'{"content":"plain"}')
    assert restore.may_change(b'{"content":"EM"}')


def test_no_text_takes_long():
    """Linear: four times the text takes no more than some sixteen times as long, however hostile."""
    for piece in ("<", "\\", "EMAIL_", "<EMAIL_", "&lt;", "E", "\\u003c", "_KXWQPTZB"):
        for text in (piece * 20_000, piece * 80_000):
            begun = time.process_time()
            FORMS.find_tail(text, 0)
            FORMS.whole.findall(text)
            FORMS.may_be_in(text.encode())
            assert time.process_time() - begun < 2
