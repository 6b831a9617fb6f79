"""How deep in JSON a text is, and texts that are all there."""

import pytest

from extproc.dialects.passage import alone, literal_depth
from extproc.request import Kind
from tests.extproc.dialects.shouting import Shouting


@pytest.mark.parametrize(
    ("kind", "name", "json_texts", "depth"),
    [
        (Kind.CHAT, "content", (), 1),
        (Kind.CHAT, "content", ("content",), 2),
        (Kind.CHAT, "arguments", (), 2),
        (Kind.RESPONSES, "arguments", (), 2),
        (Kind.MESSAGES, "arguments", (), 1),
        (Kind.CHAT, 0, (), 1),
    ],
)
def test_depth(kind, name, json_texts, depth):
    assert literal_depth(kind, name, frozenset(json_texts)) == depth


def test_alone():
    editor = Shouting()
    assert alone(editor, 2, "to the end") == "TO THE END"
    assert editor.begun == [2]
