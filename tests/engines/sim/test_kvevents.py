import asyncio
from collections.abc import Iterator

import msgspec
import pytest
import zmq
import zmq.asyncio

from engines.sim.kvevents import END, Publisher
from engines.sim.stored import BlockRemoved


@pytest.fixture
def context() -> Iterator[zmq.asyncio.Context]:
    with zmq.asyncio.Context() as context:
        yield context


def removed(*hashes: int) -> list[BlockRemoved]:
    return [BlockRemoved(list(hashes), "GPU", 0)]


async def test_batches_are_numbered_and_replayed(context: zmq.asyncio.Context):
    publisher = Publisher("127.0.0.1", 0, 0, "kv@tiny")
    replays = asyncio.ensure_future(publisher.answer_replays())
    with context.socket(zmq.SUB) as subscriber:
        subscriber.connect(f"tcp://127.0.0.1:{publisher.port}")
        subscriber.subscribe(b"kv@")
        for number in range(200):  # until the subscription has arrived
            publisher.publish(removed(number))
            if await subscriber.poll(20):
                break
        topic, sequence, batch = await subscriber.recv_multipart()
    number = int.from_bytes(sequence, "big")
    sent_s, events, rank = msgspec.msgpack.decode(batch)
    assert (topic, rank) == (b"kv@tiny", 0)
    assert sent_s > 1.7e9
    assert events == [
        {"type": "BlockRemoved", "block_hashes": [number], "medium": "GPU", "group_idx": 0}
    ]

    publisher.publish(removed(1000))
    publisher.publish([])
    with context.socket(zmq.DEALER) as asking:
        asking.connect(f"tcp://127.0.0.1:{publisher.replay_port}")
        await asking.send_multipart([b"", b"nonsense!"])
        await asking.send_multipart([b"", sequence])
        frames = [await asking.recv_multipart()]
        while frames[-1][2] != END:
            frames.append(await asking.recv_multipart())
    assert frames[0] == [b"", b"kv@tiny", sequence, batch]
    numbers = [int.from_bytes(frame[2], "big") for frame in frames[:-1]]
    assert numbers == [*range(number, number + len(numbers))]
    assert msgspec.msgpack.decode(frames[-2][3])[1][0]["block_hashes"] == [1000]
    assert frames[-1] == [b"", b"", END, b""]

    replays.cancel()
    publisher.close()


async def test_without_a_port_there_is_no_replay():
    publisher = Publisher("127.0.0.1", 0, None)
    await publisher.answer_replays()
    assert publisher.replay_port is None
    publisher.close()
