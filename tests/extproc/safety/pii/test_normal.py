"""Texts made plain, and the way back to where a piece of them stood."""

from hypothesis import given
from hypothesis import strategies as st

from extproc.safety.pii.normal import make_plain

ODD = "\u200b\u202e\ufeff\uff11\uff21\uff20\u3000\u2013\u0663\u2468ab1\u4e2d"


def test_what_is_made_plain():
    plain = make_plain("\uff11\u200b\uff13\uff18\u2010\u0660\u2460 \uff21\uff20\u3000")
    assert plain.text == "138-01 A@ "


def test_usual_text_stays_itself():
    assert make_plain("plain \u4e2d\u6587\u3002").text == "plain \u4e2d\u6587\u3002"
    assert make_plain("x").place(0, 1) == (0, 1)


def test_a_piece_has_the_unseen_marks_within_it_and_none_around():
    text = "a\u200b\u200b1\u200b2\u200bb"
    plain = make_plain(text)
    assert plain.text == "a12b"
    start, end = plain.place(1, 3)
    assert text[start:end] == "1\u200b2"


@given(st.text(alphabet=ODD), st.data())
def test_every_piece_comes_from_where_it_says(text, data):
    plain = make_plain(text)
    if not plain.text:
        return
    start = data.draw(st.integers(0, len(plain.text) - 1))
    end = data.draw(st.integers(start + 1, len(plain.text)))
    first, last = plain.place(start, end)
    assert make_plain(text[first:last]).text == plain.text[start:end]
