"""Where a text stands, written for people."""

import pytest

from extproc.dialects.place import JSON, KEY, write_place
from extproc.dialects.texts import Text

PRIVATE = "mona@example.org"


@pytest.mark.parametrize(
    ("place", "path"),
    [
        (("messages", 0, "content"), "messages[0].content"),
        (("a", JSON, "b", 2), "a.b[2]"),
        (("metadata", KEY, PRIVATE), "metadata"),
        (("metadata", PRIVATE), "metadata.*"),
        ((KEY, PRIVATE), "*"),
    ],
)
def test_paths_are_for_people_and_tell_no_values(place, path):
    assert write_place(place) == path
    assert repr(Text(place, "user", PRIVATE)) == f"Text({path}, user)"
