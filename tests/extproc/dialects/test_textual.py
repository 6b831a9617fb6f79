"""Tables of members: consistent, and speakers by role and kind."""

import pytest

from extproc.dialects.shapes import SHAPES
from extproc.dialects.textual import SHAPE, speaker_of


@pytest.mark.parametrize("kind", SHAPES)
def test_every_member_that_shapes_know_is_known_here(kind):
    known = {"model", "conversation", "previous_response_id", "reasoning", *SHAPE}
    assert set(SHAPES[kind].__struct_encode_fields__) <= known


@pytest.mark.parametrize(
    ("members", "above", "speaker"),
    [
        ({"role": "developer"}, "user", "system"),
        ({"role": "tool"}, "user", "tool"),
        ({"role": "pope"}, "user", "other"),
        ({"role": 7}, "user", "other"),
        ({"type": "tool_result"}, "user", "tool"),
        ({"type": "web_search_tool_result"}, "assistant", "tool"),
        ({"type": "function_call_output"}, "user", "tool"),
        ({"type": "function_call"}, "user", "assistant"),
        ({"type": "tool_use"}, "user", "assistant"),
        ({"type": "text"}, "system", "system"),
        ({"type": "tool_use"}, "definition", "definition"),
    ],
)
def test_whose_words(members, above, speaker):
    assert speaker_of(members, above) == speaker
