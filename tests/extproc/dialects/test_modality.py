"""What a prompt holds besides text, and where."""

import pytest

from extproc.dialects.modality import Foreign, find_foreign
from extproc.request import Kind

TEXT = {"type": "text", "text": "what is it?"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [TEXT, {"type": "image"}]}


def message(*content):
    return {"role": "user", "content": list(content)}


@pytest.mark.parametrize(
    ("kind", "document", "known", "found"),
    [
        (Kind.CHAT, {"messages": [{"role": "user", "content": "image_url"}]}, {"text"}, None),
        (Kind.CHAT, {"messages": [{"role": "assistant", "content": None}]}, {"text"}, None),
        (Kind.CHAT, {"messages": [message(TEXT)]}, {"text"}, None),
        (
            Kind.CHAT,
            {"messages": [message(TEXT), message(TEXT, IMAGE)]},
            {"text"},
            Foreign("image", "messages[1].content[1]"),
        ),
        (Kind.CHAT, {"messages": [message(IMAGE)]}, {"text", "image"}, None),
        (
            Kind.CHAT,
            {"messages": [message(IMAGE, AUDIO)]},
            {"text", "image"},
            Foreign("audio", "messages[0].content[1]"),
        ),
        (
            Kind.CHAT,
            {"messages": [message({"type": "video_url"})]},
            {"text", "image", "audio"},
            Foreign("video", "messages[0].content[0]"),
        ),
        (Kind.CHAT, {"messages": [message({"type": "own_extension"})]}, {"text"}, None),
        (Kind.RESPONSES, {"input": "an image"}, {"text"}, None),
        (
            Kind.RESPONSES,
            {"input": [message({"type": "input_text"}, {"type": "input_image"})]},
            {"text"},
            Foreign("image", "input[0].content[1]"),
        ),
        (
            Kind.RESPONSES,
            {"input": [{"type": "function_call_output", "output": [{"type": "input_image"}]}]},
            {"text"},
            Foreign("image", "input[0].output[0]"),
        ),
        (
            Kind.MESSAGES,
            {"messages": [message(TEXT, {"type": "image", "source": {"type": "url"}})]},
            {"text"},
            Foreign("image", "messages[0].content[1]"),
        ),
        (
            Kind.MESSAGES,
            {"messages": [message(RESULT)]},
            {"text"},
            Foreign("image", "messages[0].content[0].content[1]"),
        ),
        (Kind.MESSAGES, {"messages": [message(RESULT)]}, {"text", "image"}, None),
        (Kind.COMPLETIONS, {"prompt": "x"}, {"text"}, None),
        (Kind.COMPLETIONS, {"prompt": [1, 2]}, {"text"}, None),
        (Kind.EMBEDDINGS, {"input": ["x"]}, {"text"}, None),
        (Kind.CHAT, {"messages": [message(IMAGE)]}, {"image", "audio", "video"}, None),
    ],
)
def test_the_first_part_that_is_foreign(kind, document, known, found):
    assert find_foreign(kind, document, known) == found


def test_the_search_ends():
    part = {"type": "tool_result"}
    part["content"] = [part]
    assert find_foreign(Kind.MESSAGES, {"messages": [message(part)]}, {"text"}) is None
