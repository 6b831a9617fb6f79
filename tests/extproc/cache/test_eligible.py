"""Who may be answered from the cache."""

import pytest

from extproc.cache.eligible import Control, find_bypass, read_control
from extproc.request import Kind

COOL = {"temperature": 0, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("said", "control"),
    [
        ("", Control()),
        ("no-store", Control(no_store=True)),
        ("No-Cache , max-age=60", Control(no_cache=True, max_age_s=60)),
        ('max-age="5",max-age=9', Control(max_age_s=5)),
        ("max-age=-1, max-age=x, private", Control()),
    ],
)
def test_cache_control(said, control):
    assert read_control(said) == control


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, ""),
        ({"temperature": 0.3}, ""),
        ({"temperature": 0.31}, "temperature"),
        ({"temperature": None}, "temperature"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [], "tool_choice": "none"}, ""),
        ({"tool_choice": {"type": "any"}}, "tools"),
        ({"function_call": "auto"}, "tools"),
        ({"logprobs": True}, "extras"),
        ({"logprobs": False, "include": []}, ""),
        ({"prompt_logprobs": 0}, "extras"),
        ({"return_prompt_text": True}, "extras"),
        ({"enable_response_messages": True}, "extras"),
        ({"enable_response_messages": False, "echo": None}, ""),
        ({"previous_response_id": "r"}, "state"),
        ({"store": True}, "state"),
        ({"best_of": 2}, "n"),
        ({"prompt": ["a", "b"]}, "n"),
        ({"prompt": [1, 2]}, ""),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "media"),
        ({"messages": [{"content": [{"type": "image_url"}]}]}, "media"),
        ({"messages": [{"content": [{"type": "text", "text": "hi"}]}, 7]}, ""),
    ],
)
def test_reasons(more, reason):
    assert find_bypass(Kind.CHAT, {**COOL, **more}, 1, 0.3) == reason


def test_other_operations_and_several_answers():
    assert find_bypass(Kind.EMBEDDINGS, COOL, 1, 0.3) == "operation"
    assert find_bypass(Kind.CHAT, COOL, 2, 0.3) == "n"


def test_who_names_no_temperature_may_be_let_in():
    assert find_bypass(Kind.CHAT, {}, 1, 1.0) == ""
