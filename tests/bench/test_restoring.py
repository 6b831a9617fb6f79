"""The figures of restoring, in small."""

import pytest

from bench.restoring import PLAIN, SPLIT, VALUES, Echo, best_us, loop_us, write_events
from extproc.request import Kind
from extproc.safety.restore import restoring


def test_what_is_measured_is_restored():
    events = write_events([*PLAIN, *SPLIT])
    transform = restoring(Kind.CHAT, VALUES)
    shown = b"".join([*map(transform.feed, events), transform.finish()])
    assert b'"ann.lee@example.com"' in shown
    assert shown.startswith(b"".join(events[: len(PLAIN)]))


async def test_both_pass_the_same_messages():
    events = write_events(PLAIN * 3)
    assert await loop_us(events, Echo()) > 0
    assert await loop_us(events, restoring(Kind.CHAT, VALUES)) > 0


async def test_a_client_of_its_own_is_served():
    echo, restore, bare, loop = await best_us(write_events(PLAIN), 1)
    assert min(echo, restore) > max(0, min(bare, loop))


@pytest.mark.parametrize("text", [" The", "中文", '"'])
def test_events_are_those_of_vllm(text):
    (event,) = write_events([text])
    assert event.startswith(b'data: {"id":"chatcmpl-')
    assert event.endswith(b"\n\n")
