"""A gateway with limits, and clients that push against them."""

import asyncio
import contextlib
import shutil
from collections import Counter
from pathlib import Path

import httpx
import yaml

from tests.e2e.conftest import ACME, running

DEMO = Path(__file__).parents[2] / "extproc" / "policy" / "demo"
CHAT = "/v1/chat/completions"
PRICE = {"input_usd": 10, "output_usd": 20}
PATIENT = {"HEADGATE_REDIS_DEADLINE_MS": "10000"}
"""On a busy machine a call to the counters may take longer than the 20 ms after which workers count alone."""
GUARD_S = 40


@contextlib.contextmanager
def limited(directory, *limits, flags=(), env=None, **sections):
    """A gateway with the demo policy, these limits, and more sections of policy."""
    policy = directory / "policy"
    shutil.copytree(DEMO, policy)
    written = yaml.safe_dump({"limits": list(limits), **sections})
    (policy / "limits.yaml").write_text(written)
    env = PATIENT | (env or {})
    with running(directory / "s", "--policy", str(policy), *flags, env=env) as gateway:
        yield gateway


def ask(text="hi", *, stream=False, max_tokens=3, **sim):
    return {
        "model": "demo", "stream": stream, "max_tokens": max_tokens, "x_sim": sim,
        "messages": [{"role": "user", "content": text}],
    }  # fmt: skip


async def push(gateway, clients, body, *, each, key=ACME):
    """Closed loop: every client asks again as soon as it is answered, `each` times.

    Returns all answers, those of one client behind each other."""
    limits = httpx.Limits(max_connections=clients)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, timeout=30, limits=limits
    ) as client:

        async def go():
            return [await client.post(CHAT, json=body) for _ in range(each)]

        found = await asyncio.gather(*(go() for _ in range(clients)))
    return [answer for answers in found for answer in answers]


@contextlib.asynccontextmanager
async def holding(gateway, path, body, count=1, key=ACME):
    """Streams that go on until the end of the block. So many begin at once; gives their answers, as they have begun."""
    long = {"stream": True, "max_tokens": 5000, "ignore_eos": True, "x_sim": {"itl_ms": 100}}
    headers = {"authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=GUARD_S) as client,
        contextlib.AsyncExitStack() as held,
    ):
        begun = (client.stream("POST", path, json=body | long) for _ in range(count))
        yield await asyncio.gather(*map(held.enter_async_context, begun))


def statuses(answers):
    return Counter(answer.status_code for answer in answers)


def tokens(answers):
    """What the engine says all of them used."""
    return sum(a.json()["usage"]["total_tokens"] for a in answers if a.status_code == 200)
