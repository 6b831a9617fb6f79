"""What processes of a host tell each other: the tags on the wire, which must not change by accident."""

import msgspec
import pytest

from engines.watch import messages
from engines.watch.messages import (
    Ended,
    Look,
    Looks,
    Member,
    Members,
    Picked,
    Running,
    Stored,
    Used,
)

TAGGED = {
    "members": Members({}),
    "looks": Looks(()),
    "picked": Picked("k", "p", "e:1", 1.0, 2, 1),
    "ended": Ended("k", "p", "e:1", 1.0, 200, 0.5),
    "used": Used("m", "key-1", 9, "1 0 0 0 1", 5),
    "running": Running("k"),
    "stored": Stored("p", "e:1"),
}


@pytest.mark.parametrize("tag", TAGGED)
def test_a_message_begins_with_its_tag_and_comes_back(tag):
    raw = msgspec.msgpack.encode(TAGGED[tag])
    assert msgspec.msgpack.decode(raw)[0] == tag
    assert msgspec.msgpack.decode(raw, type=messages.Any) == TAGGED[tag]


def test_an_older_process_may_leave_later_members_out():
    assert msgspec.convert(["e:1"], Member) == Member("e:1", "ready", 0.0, "both")
    assert msgspec.convert(["e:1", 2.0], Look) == Look("e:1", 2.0)
