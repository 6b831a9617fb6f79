"""A gateway with limits, and clients that push against them."""

import asyncio
import contextlib
import shutil
import time
from collections import Counter
from pathlib import Path

import httpx
import yaml

from tests.e2e.conftest import ACME, running

DEMO = Path(__file__).parents[2] / "extproc" / "policy" / "demo"
CHAT = "/v1/chat/completions"
PRICE = {"input_usd": 10, "output_usd": 20}


@contextlib.contextmanager
def limited(directory, *limits, flags=(), env=None, **sections):
    """A gateway with the demo policy, these limits, and more sections of policy."""
    policy = directory / "policy"
    shutil.copytree(DEMO, policy)
    written = yaml.safe_dump({"limits": list(limits), **sections})
    (policy / "limits.yaml").write_text(written)
    with running(directory / "s", "--policy", str(policy), *flags, env=env) as gateway:
        yield gateway


def ask(text="hi", *, stream=False, max_tokens=3, **sim):
    return {
        "model": "demo", "stream": stream, "max_tokens": max_tokens, "x_sim": sim,
        "messages": [{"role": "user", "content": text}],
    }  # fmt: skip


async def push(gateway, clients, body, *, seconds=None, each=None, key=ACME):
    """Closed loop: every client asks again as soon as it is answered, for `seconds` or `each` times.

    Returns all answers."""
    until = time.monotonic() + (seconds or 60)
    limits = httpx.Limits(max_connections=clients)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, timeout=30, limits=limits
    ) as client:

        async def go():
            answers = []
            while time.monotonic() < until and (each is None or len(answers) < each):
                answers.append(await client.post(CHAT, json=body))
            return answers

        found = await asyncio.gather(*(go() for _ in range(clients)))
    return [answer for answers in found for answer in answers]


def statuses(answers):
    return Counter(answer.status_code for answer in answers)


def tokens(answers):
    """What the engine says all of them used."""
    return sum(a.json()["usage"]["total_tokens"] for a in answers if a.status_code == 200)
