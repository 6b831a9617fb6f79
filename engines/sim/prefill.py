"""Prefill and decode on two engines: what the sidecar beside a decode engine does.

The gateway names a prefill engine in `x-prefiller-host-port`. That one is asked for a single token of
the same request; then the answer is generated here, with the KV from there. If it fails, everything
is computed here, as llm-d's sidecar does.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import msgspec
from aiohttp import web

from engines.sim.request import Generation
from engines.sim.schema import Transfer

HEADER = "x-prefiller-host-port"
_TIMEOUT_S = 120.0
"""A prompt of 128k tokens on a slow GPU takes a minute."""

_REQUEST = {"do_remote_decode": True, "do_remote_prefill": False}


class _Answer(msgspec.Struct):
    kv_transfer_params: Transfer | None = None


class Prefiller:
    """Asks prefill engines; open for as long as the application is."""

    def __init__(self) -> None:
        self._client: aiohttp.ClientSession | None = None

    async def opened(self, _: web.Application) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as self._client:
            yield

    async def prefilled(self, http: web.Request, raw: bytes, request: Generation) -> Generation:
        """Have the prompt computed where the header says; without one nothing happens."""
        there = http.headers.get(HEADER)
        if not there or self._client is None or request.operation not in ("chat", "completions"):
            return request
        body = msgspec.json.decode(raw, type=dict[str, object])
        for name in ("stream_options", "max_completion_tokens", "min_tokens"):
            body.pop(name, None)
        body |= {"stream": False, "max_tokens": 1, "kv_transfer_params": _REQUEST}
        try:
            async with self._client.post(f"http://{there}{http.path}", json=body) as answer:
                answer.raise_for_status()
                told = msgspec.json.decode(await answer.read(), type=_Answer)
        except (TimeoutError, aiohttp.ClientError, ValueError):
            return request
        return replace(request, transfer=told.kv_transfer_params)


def sent_to(request: Generation, engine_id: str) -> dict[str, object] | None:
    """What a prefill engine answers besides its token: where the KV is to be fetched."""
    if request.transfer is None or not request.transfer.do_remote_decode:
        return None
    blocks = sum(len(prompt.blocks) for prompt in request.prompts)
    return {
        "do_remote_prefill": True,
        "do_remote_decode": False,
        "remote_block_ids": list(range(1, blocks + 1)),
        "remote_engine_id": engine_id,
        "remote_request_id": request.request_id,
        "remote_host": "127.0.0.1",
        "remote_port": 5600,
        "tp_size": 1,
    }
