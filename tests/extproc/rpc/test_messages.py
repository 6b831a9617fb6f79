import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.rpc.messages import PREFIX, Inbox
from extproc.rpc.status import CallError, Status
from tests.extproc.rpc.peer import wrap


@given(st.lists(st.binary(max_size=200)), st.lists(st.integers(0, 40), min_size=1))
def test_messages_are_the_same_however_they_are_cut(sent, cuts):
    inbox = Inbox(200)
    data, turn = b"".join(map(wrap, sent)), 0
    while data:
        size = cuts[turn % len(cuts)] or (turn % 7 + 1)
        inbox.feed(data[:size])
        data, turn = data[size:], turn + 1
    inbox.feed(b"")
    assert list(inbox.messages) == sent


def test_a_message_that_is_too_large_is_refused_before_it_is_here():
    inbox = Inbox(10)
    inbox.feed(wrap(b"x" * 10))
    with pytest.raises(CallError, match="11") as caught:
        inbox.feed(PREFIX.pack(0, 11))
    assert caught.value.status is Status.RESOURCE_EXHAUSTED
    assert list(inbox.messages) == [b"x" * 10]


def test_a_compressed_message_is_refused():
    with pytest.raises(CallError) as caught:
        Inbox(10).feed(PREFIX.pack(1, 1) + b"x")
    assert caught.value.status is Status.UNIMPLEMENTED
