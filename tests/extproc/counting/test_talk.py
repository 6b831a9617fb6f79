"""One conversation for all dialects."""

import pytest

from extproc.counting.images import Picture
from extproc.counting.talk import Talk, fit, join_texts, merge_system, read_content
from extproc.counting.template import Template

STRING = Template("{% for m in messages %}{{ m.content }}{% endfor %}", {})
PARTS = Template("{% for m in messages %}{% for p in m.content %}{% endfor %}{% endfor %}", {})
DEVELOPER = Template("{{ 'developer' }}", {})


def text(content):
    return {"type": "text", "text": content}


def empty():
    return Talk(messages=[], pictures=[])


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ("x", "x"),
        (None, ""),
        ([], ""),
        ([text("x")], "x"),
        ([text("x"), text("y")], [text("x"), text("y")]),
        ([{"type": "input_text", "text": "x"}, {"type": "refusal", "refusal": "y"}], [text("x"), text("y")]),
        ([{"type": "text", "text": None}, "bare"], ""),
    ],
)  # fmt: skip
def test_texts_of_a_content(content, read):
    talk = empty()
    assert read_content(content, talk) == read
    assert talk.is_faithful


@pytest.mark.parametrize(
    ("part", "pictures", "media"),
    [
        ({"type": "image_url", "image_url": {"url": "u", "detail": "low"}}, [Picture("u", is_low=True)], 0),
        ({"type": "image_url", "image_url": "u"}, [Picture("u")], 0),
        ({"type": "input_image", "image_url": "u", "detail": "low"}, [Picture("u", is_low=True)], 0),
        ({"type": "input_image", "file_id": "f"}, [Picture("")], 0),
        ({"type": "input_audio", "input_audio": {}}, [], 1),
        ({"type": "video_url", "video_url": "u"}, [], 1),
        ({"type": "hologram"}, [], 0),
        ({}, [], 0),
    ],
)  # fmt: skip
def test_what_is_no_text_is_put_aside(part, pictures, media):
    talk = empty()
    assert read_content([text("x"), part], talk) == "x"
    assert (talk.pictures, talk.media, talk.is_faithful) == (pictures, media, False)


def test_joining():
    assert join_texts("x") == "x"
    assert join_texts([text("x"), text("y")]) == "x\ny"
    assert join_texts([text("x"), text("y")], "") == "xy"
    assert join_texts(None) == ""


@pytest.mark.parametrize(
    ("template", "message", "fitted"),
    [
        (STRING, {"role": "user", "content": "x"}, "x"),
        (STRING, {"role": "user", "content": [text("x"), text("y")]}, "x\ny"),
        (STRING, {"role": "assistant"}, ""),
        (PARTS, {"role": "user", "content": "x"}, [text("x")]),
        (PARTS, {"role": "user", "content": [text("x"), text("y")]}, [text("x"), text("y")]),
        (PARTS, {"role": "assistant"}, []),
        (PARTS, {"role": "tool", "content": [text("x"), text("y")]}, "x\ny"),
        (PARTS, {"role": "tool", "content": "x"}, "x"),
    ],
)
def test_content_in_the_form_a_template_wants(template, message, fitted):
    [found] = fit([message], template)
    assert found["content"] == fitted


def test_developers_are_the_system_where_a_template_does_not_know_them():
    talk = [{"role": role, "content": role[0]} for role in ("system", "user", "developer", "user")]
    assert fit(talk, DEVELOPER) == talk
    assert fit(talk, STRING) == [{"role": "system", "content": "s\n\nd"}, talk[1], talk[3]]
    assert fit(talk[2:], STRING) == [{"role": "system", "content": "d"}, talk[3]]


def test_merging_leaves_one_that_stands_first():
    talk = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert merge_system(talk) is talk
