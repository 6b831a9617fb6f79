"""Values are found where they stand, whatever stands around them, in bounded time."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.safety.expressions import FloodError
from extproc.safety.pii.engine import Said, shipped
from extproc.safety.pii.finding import resolve

PHONE, MAIL, CARD = "13800138000", "mona@example.org", "4111 1111 1111 1111"


def look(*texts):
    found = shipped().find([Said(text) for text in texts])
    return [
        [(each.type, text[each.start : each.end]) for each in resolve(some)]
        for text, some in zip(texts, found, strict=True)
    ]


AROUND = st.text(
    alphabet=st.one_of(
        st.sampled_from("\u200b\u202e\u4e2d\uff0c \n\U0001f600\ud83d\x1e"),
        st.characters(exclude_characters="+-.@_'%()/&?=:", exclude_categories=["N", "L"]),
    ),
    max_size=30,
)


@given(AROUND, AROUND, st.sampled_from([("phone", PHONE), ("email", MAIL), ("bank_card", CARD)]))
def test_a_value_is_found_whatever_stands_around(before, after, planted):
    kind, value = planted
    text = f"{before}\n{value}\n{after}"
    found = shipped().find([Said(text)])[0]
    start = len(before) + 1
    assert any((f.type, f.start, f.end) == (kind, start, start + len(value)) for f in found)


@given(st.lists(st.text(max_size=40), max_size=5))
def test_findings_lie_within_their_texts(texts):
    for text, some in zip(texts, shipped().find([Said(text) for text in texts]), strict=True):
        assert all(0 <= each.start < each.end <= len(text) for each in some)


def test_values_that_touch_chinese_are_found():
    assert look(f"卡号{CARD}已绑定", f"邮箱{MAIL}已绑定", "地址10.1.2.3可用") == [
        [("bank_card", CARD)],
        [("email", MAIL)],
        [("ip_address", "10.1.2.3")],
    ]


def test_no_value_goes_from_one_text_to_the_next():
    assert look("4111 1111", "1111 1111", "1380013", "8000") == [[], [], [], []]


def test_the_name_of_a_member_speaks_for_its_value():
    plain, named = shipped().find([Said("1990-03-07"), Said("1990-03-07", "birth_date")])
    assert not plain
    assert [(each.type, each.start, each.end) for each in named] == [("birth_date", 0, 10)]


@pytest.mark.parametrize(
    "text",
    [
        "1\u200b38\u202e0013\u206080\ufeff00",
        "\uff11\uff13\uff18\uff10\uff10\uff11\uff13\uff18\uff10\uff10\uff10",
        "138\u20110013\u20138000",
        "138\u00a00013\u30008000",
        "\u0661\u0663\u0668\u0660\u0660\u0661\u0663\u0668\u0660\u0660\u0660",
    ],
)
def test_other_ways_to_write_digits(text):
    assert look(f"a {text} b") == [[("phone", text)]]


def test_half_surrogate_pairs_move_nothing():
    assert look(f"\ud83d\udc00\ud83d {PHONE}") == [[("phone", PHONE)]]


def test_ten_thousand_values_in_a_megabyte():
    text = "".join(f"{MAIL} {'x' * 80}\n" for _ in range(10_000))
    begun = time.process_time()
    assert len(look(text)[0]) == 10_000
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    "unit",
    [
        "1.1.1.1.",
        "1 2 3 ",
        "411 1 2 3 4 5 6 7 8 9 ",
        "-----BEGIN PRIVATE KEY-----",
        "a@b.c",
        "\uff11",
    ],
)
def test_what_is_made_to_take_long_does_not(unit):
    text = (unit * (500_000 // len(unit)))[:500_000]
    begun = time.process_time()
    with suppress(FloodError):
        look(text)
    assert time.process_time() - begun < 20


def test_many_threads_may_look_at_once():
    texts = [f"{'x ' * number}{PHONE}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(look, texts))
    assert found == [[[("phone", PHONE)]]] * 40


def test_an_engine_says_how_much_there_is_to_look_at():
    assert shipped().scan([Said("nothing")]).places == 0
    assert shipped().scan([Said(f"{MAIL} {MAIL}")]).places >= 2
