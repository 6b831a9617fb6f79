"""The one text that may differ."""

import pytest

from extproc.cache.turn import Sought, take_turn
from extproc.request import Kind

ASKED = {"role": "user", "content": "What is it?"}


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (Kind.CHAT, {"messages": [{"role": "system", "content": "s"}, ASKED]}),
        (
            Kind.CHAT,
            {"messages": [{**ASKED, "content": [{"type": "text", "text": "What is it?"}]}]},
        ),
        (Kind.MESSAGES, {"system": "s", "messages": [ASKED]}),
        (Kind.COMPLETIONS, {"prompt": " What is it? "}),
        (Kind.RESPONSES, {"input": "What is it?"}),
        (Kind.RESPONSES, {"input": [ASKED]}),
    ],
)
def test_it_is_taken_out(kind, document):
    turn, rest = take_turn(kind, {**document, "seed": 1})
    assert turn == "What is it?"
    assert "What is it?" not in str(rest)
    assert rest["seed"] == 1


@pytest.mark.parametrize(
    "messages",
    [
        [],
        None,
        [{"role": "assistant", "content": "What is it?"}],
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            }
        ],
        [{"role": "user", "content": [{"type": "text", "text": "What?", "cache_control": {}}]}],
        [{"role": "user", "content": "a"}],
        [{"role": "user", "content": "long " * 300}],
        ["text"],
    ],
)
def test_others_have_none(messages):
    assert take_turn(Kind.CHAT, {"messages": messages}) is None


def test_two_conversations_leave_different_rests():
    one = take_turn(Kind.CHAT, {"messages": [{"role": "system", "content": "a"}, ASKED]})
    other = take_turn(Kind.CHAT, {"messages": [{"role": "system", "content": "b"}, ASKED]})
    assert one[1] != other[1]


def test_nobody_sees_it_in_a_log():
    assert "secret" not in repr(Sought("t", "p", "secret"))
