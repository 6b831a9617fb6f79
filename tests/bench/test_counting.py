"""What the figures are figures of."""

import asyncio
import time

from bench.counting import TALK_CHARS, TURNS, count, fill, longest_pause_s, speed, talk, texts
from extproc.counting.mix import scan
from tests.extproc.counting.templates import CHATML
from tests.extproc.counting.vocabularies import qwen, vocabulary


def test_a_conversation_is_as_long_as_said_and_grows_at_its_end():
    whole, before = talk(TURNS), talk(TURNS - 1)
    assert len(whole) == 2 * TURNS - 1
    assert whole[: len(before)] == before
    chars = sum(len(message["content"]) for message in whole)
    assert 0.95 * TALK_CHARS < chars <= TALK_CHARS
    own = vocabulary(qwen(), CHATML)
    assert count(own, whole) > count(own, before) > 1000


def test_texts_are_of_their_kind():
    mixes = {name: scan(text) for name, text in texts().items()}
    assert mixes["Chinese"].ideographs > mixes["Chinese"].letters
    assert mixes["Python"].symbols > mixes["English"].symbols
    assert fill("ab", 5) == "ababa"
    assert speed(len, "x" * 1000).endswith(" MB/s")


async def test_a_pause_is_seen():
    async def block():
        await asyncio.sleep(0.01)
        time.sleep(0.05)  # noqa: ASYNC251 - that is the point
        await asyncio.sleep(0.01)

    assert await longest_pause_s(block) > 0.045
