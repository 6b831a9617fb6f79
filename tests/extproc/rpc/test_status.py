import pytest
from hpack import Decoder

from extproc.rpc.status import OK_BLOCK, OPENING, Status, closing


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("", None),
        ("no such thing: x", "no such thing: x"),
        ("50% off, größer\n", "50%25 off, gr%C3%B6%C3%9Fer%0A"),
    ],
)
def test_a_call_ends_with_a_status_and_perhaps_a_word(opened, message, sent):
    block = closing(Status.NOT_FOUND, message, opened=opened)
    fields = [] if opened else list(OPENING)
    fields.append(("grpc-status", "5"))
    if sent is not None:
        fields.append(("grpc-message", sent))
    assert Decoder().decode(block) == fields


def test_most_calls_end_the_same_way():
    assert closing(Status.OK, opened=True) is OK_BLOCK
    assert Decoder().decode(closing(Status.OK, opened=False)) == [*OPENING, ("grpc-status", "0")]


def test_a_block_leaves_nothing_behind():
    """Else the order in which blocks are sent would matter."""
    decoder = Decoder()
    decoder.decode(closing(Status.INTERNAL, "x", opened=False))
    assert not decoder.header_table.dynamic_entries
