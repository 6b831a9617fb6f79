"""Endpoints of a name."""

import asyncio

import pytest

from engines.watch.config import Dns
from engines.watch.dns import DRAIN_S, Named, follow_dns, resolve, write
from tests.engines.watch.waiting import GUARD_S, until

A, B = "10.0.0.1:80", "10.0.0.2:80"
SOURCE = Dns("vllm.llm.svc", 80, interval_s=0.01)


async def test_the_systems_resolver():
    assert "127.0.0.1:8000" in await resolve("localhost", 8000)
    assert await resolve("10.0.0.1", 80) == [A]
    with pytest.raises(OSError):  # noqa: PT011 - gaierror has no text of ours
        await resolve("no-such-name.invalid", 80)


@pytest.mark.parametrize(
    ("ip", "written"), [("10.0.0.1", "10.0.0.1:80"), ("::1", "[::1]:80"), ("fe80::1%eth0", "[fe80::1]:80")]
)  # fmt: skip
def test_addresses_as_envoy_writes_them(ip, written):
    assert write(ip, 80) == written


def test_one_that_is_not_named_any_more_drains_and_then_is_gone():
    named = Named()
    assert named.hear([A, B], 0.0) == {A: "ready", B: "ready"}
    assert named.hear([B], 10.0) == {A: "draining", B: "ready"}
    assert named.hear([B], 9.0 + DRAIN_S) == {A: "draining", B: "ready"}
    assert named.hear([B], 10.0 + DRAIN_S) == {B: "ready"}
    assert named.hear([], 80.0) == {B: "draining"}
    assert named.hear([A, B], 81.0) == {A: "ready", B: "ready"}


async def test_a_resolver_that_fails_says_nothing(caplog):
    answers = [[A], OSError("down"), OSError("down"), [A, B]]
    asked, heard = [], []

    async def ask(host, port):
        asked.append((host, port))
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer

    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(follow_dns(SOURCE, heard.append, ask))
        await until(lambda: len(asked) > 4)
        running.cancel()
    assert asked[0] == ("vllm.llm.svc", 80)
    assert heard[:2] == [{A: "ready"}, {A: "ready", B: "ready"}]
    told = [record.message for record in caplog.records]
    assert told == ["discovery_failed", "discovery_back"]
