"""What restoring costs: CPU time for each chunk of a stream, against an echo that changes nothing.

    python -m bench.restoring

Both serve the same events, one to a chunk, by the loop of `extproc/stream.py` over Headgate's own gRPC:
a client in another process sends what Envoy would, and waits for each reply. What counts is the CPU time
of the serving process alone. `loop` is the same without sockets: what the difference is, to the
microsecond.
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from envoy.service.ext_proc.v3.external_processor_pb2 import (
    HttpBody,
    ProcessingRequest,
    ProcessingResponse,
)
from grpc import aio

from extproc.filter import BodyTransform
from extproc.request import Kind
from extproc.rpc.call import Call, Method
from extproc.rpc.listener import Listener
from extproc.safety.restore import restoring
from extproc.stream import rewrite
from extproc.wire import EnvoyStream

VALUES = {
    "<EMAIL_KXWQPTZB>": "ann.lee@example.com",
    "<PHONE_BCDFGHJK>": "+86 138 0013 8000",
    "<CN_ID_TTZZTTZZ>": "11010519491231002X",
    "<BANK_CARD_WWXXQQRR>": "4111 1111 1111 1111",
}
PLAIN = (
    " The",
    " engine",
    " writes",
    " one",
    " token",
    " in",
    " each",
    " event",
    ",",
    " 中文",
    ".\n",
)
METHOD = "/bench/Process"
PATIENCE_S = 120.0
SPLIT = (" <", "EMAIL", "_K", "XW", "QP", "TZ", "B", ">", ",")
"""One placeholder as a tokenizer cuts it: every event of it has to be parsed, held and written."""


class Echo(BodyTransform):
    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def finish(self) -> bytes:
        return b""


class Script:
    """Plays one answer; drops what it gets, serialized."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self._messages = iter(messages)

    async def read(self) -> ProcessingRequest | None:
        message = next(self._messages, None)
        return None if message is None else ProcessingRequest.FromString(message)

    async def write(self, message: ProcessingResponse, /) -> None:
        message.SerializeToString()


def write_events(texts: Sequence[str]) -> list[bytes]:
    """Write a chat's stream as vLLM does, with running counts, which it is asked for."""
    events: list[bytes] = []
    for number, text in enumerate(texts, 1):
        choice = {
            "index": 0,
            "delta": {"content": text},
            "logprobs": None,
            "finish_reason": None,
            "token_ids": None,
        }
        document = {
            "id": "chatcmpl-83623ecb15605df1",
            "object": "chat.completion.chunk",
            "created": 1795154082,
            "model": "demo",
            "choices": [choice],
            "usage": {
                "prompt_tokens": 1210,
                "total_tokens": 1210 + number,
                "completion_tokens": number,
            },
        }
        data = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        events.append(f"data: {data}\n\n".encode())
    return events


def write_messages(events: Sequence[bytes]) -> list[bytes]:
    last = len(events) - 1
    return [
        ProcessingRequest(
            response_body=HttpBody(body=event, end_of_stream=index == last)
        ).SerializeToString()
        for index, event in enumerate(events)
    ]


async def loop_us(events: Sequence[bytes], transform: BodyTransform) -> float:
    """CPU microseconds for each chunk, without sockets."""
    stream = EnvoyStream(Script(write_messages(events)))
    begun = time.process_time()
    await rewrite(stream, [transform])
    return (time.process_time() - begun) / len(events) * 1e6


async def served_us(events: Sequence[bytes], transform: BodyTransform) -> float:
    """CPU microseconds for each chunk, served to a client in another process."""
    spent: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def process(call: Call[ProcessingRequest, ProcessingResponse]) -> None:
        begun = time.process_time()
        await rewrite(EnvoyStream(call), [transform])
        spent.set_result(time.process_time() - begun)

    method = Method(process, ProcessingRequest.FromString, ProcessingResponse.SerializeToString)
    listener = Listener({METHOD: method}, 1 << 22)
    with tempfile.TemporaryDirectory() as directory:
        where = f"unix:{Path(directory) / 's'}"
        await listener.start(where)
        client = start_client(where, write_messages(events))
        try:
            return await asyncio.wait_for(spent, PATIENCE_S) / len(events) * 1e6
        finally:
            await asyncio.to_thread(client.join, PATIENCE_S)
            await listener.drain(0)


def start_client(where: str, messages: Sequence[bytes]) -> BaseProcess:
    client = multiprocessing.get_context("spawn").Process(target=play, args=(where, messages))
    client.start()
    return client


def play(where: str, messages: Sequence[bytes]) -> None:
    """Send each message when the one before it is answered."""
    asyncio.run(ask(where, messages))


async def ask(where: str, messages: Sequence[bytes]) -> None:
    async with aio.insecure_channel(where) as channel:
        call = cast("aio.StreamStreamCall[bytes, bytes]", channel.stream_stream(METHOD)())
        for message in messages:
            await call.write(message)
            await call.read()
        await call.done_writing()


async def best_us(events: Sequence[bytes], rounds: int) -> Sequence[float]:
    """Served by the echo, served and restored, and both without sockets."""
    best = [float("inf")] * 4
    for _ in range(rounds):
        found = (
            await served_us(events, Echo()),
            await served_us(events, restoring(Kind.CHAT, VALUES)),
            await loop_us(events, Echo()),
            await loop_us(events, restoring(Kind.CHAT, VALUES)),
        )
        best = [min(pair) for pair in zip(best, found, strict=True)]
    return best


async def measure(chunks: int, rounds: int) -> None:
    mixed = SPLIT + PLAIN * 9
    texts = {
        "no placeholder": [PLAIN[i % len(PLAIN)] for i in range(chunks)],
        f"one in {len(mixed)} chunks": [mixed[i % len(mixed)] for i in range(chunks)],
        "nothing but placeholders": [SPLIT[i % len(SPLIT)] for i in range(chunks)],
    }
    print(f"{'us of CPU for each chunk':<26}{'echo':>8}{'restore':>9}{'ratio':>7}{'loop':>14}")
    for name, pieces in texts.items():
        echo, restore, bare, loop = await best_us(write_events(pieces), rounds)
        print(
            f"{name:<26}{echo:>8.1f}{restore:>9.1f}{restore / echo:>7.2f}{bare:>7.1f}{loop:>7.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--chunks", type=int, default=4000, help="of each answer")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    asked = parser.parse_args()
    asyncio.run(measure(asked.chunks, asked.rounds))


if __name__ == "__main__":
    main()
