"""What the first bytes of an answer say."""

import pytest

from extproc.dialects.opening import may_be_object, open_answer
from extproc.dialects.sse import BOM


@pytest.mark.parametrize(
    ("begun", "found"),
    [
        (b"{", (True, b"{")),
        (b" \r\n[1", (True, b" \r\n[1")),
        (BOM + b"{}", (True, b"{}")),
        (b"\n" + BOM + b" " + BOM + b" {}", (True, b"{}")),
        (b"data: {", (False, b"data: {")),
        (b"\n\n: ping", (False, b"\n\n: ping")),
        (BOM + b"data: {", (False, b"data: {")),
        (b"\xef\xbc\x81", (False, b"\xef\xbc\x81")),
        (b"", None),
        (b" \n", None),
        (b" \xef", None),
        (b"\xef\xbb", None),
        (BOM, None),
        (BOM + b"\n\xef", None),
    ],
)
def test_by_the_first_byte_that_tells(begun, found):
    assert open_answer(begun) == found


@pytest.mark.parametrize(
    ("data", "may_be"),
    [(b"{", True), (b" \t{}", True), (b"[DONE]", False), (b"", False), (b" x{", False)],
)
def test_an_event_that_may_be_an_object(data, may_be):
    assert may_be_object(data) is may_be
