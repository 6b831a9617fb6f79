"""Waiting for a place instead of being refused: two workers, real Envoy, a real Valkey."""

import asyncio
import os
import signal
import time
from collections import Counter

import httpx
import pytest

from tests.e2e.conftest import ACME, GLOBEX, wait_for
from tests.e2e.limits import CHAT, GUARD_S, ask, holding, limited, push, statuses

SLOTS = {"name": "slots", "per": "model", "concurrent": 10, "wait_s": 25, "operations": ["chat"]}
ONE = {"name": "one", "per": "model", "concurrent": 1, "wait_s": 25, "operations": ["completions"]}
TURNS = {"name": "turns", "per": "model", "concurrent": 1, "wait_s": 25, "operations": ["messages"]}
RATE = {"name": "rate", "requests": 5, "every": "second", "burst": 1, "wait_s": 25,
        "operations": ["embeddings"]}  # fmt: skip
PRIORITIES = [{"name": "interactive", "tenants": ["acme"], "weight": 3}, {"name": "batch"}]
MESSAGES, TEXT = "/v1/messages", "/v1/completions"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    directory = tmp_path_factory.mktemp("queue")
    with limited(directory, SLOTS, ONE, TURNS, RATE, priorities=PRIORITIES) as gateway:
        yield gateway


def client_of(own, key=ACME):
    headers = {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=own.url, headers=headers, timeout=GUARD_S)


def complete(**sim):
    return {"model": "demo", "prompt": "hi", "max_tokens": 1, "x_sim": sim}


def waited_ms(answer):
    return int(answer.headers.get("x-headgate-queue-ms", 0))


async def in_line(own, **lengths):
    """Wait until so many of each class wait."""
    lines = {f'headgate_queue_length{{priority="{name}"}} {n}.0' for name, n in lengths.items()}
    await asyncio.to_thread(
        wait_for, lambda: lines <= {*own.metrics().splitlines()}, what=f"{lengths} in line"
    )


async def test_ten_places_for_thirty_clients_refuse_nobody(own):
    interactive, batch = await asyncio.gather(
        *(push(own, 15, ask(ttft_ms=100), each=5, key=key) for key in (ACME, GLOBEX))
    )
    assert statuses([*interactive, *batch]) == {200: 150}


async def test_turns_go_by_weight(own):
    """One place, so they are answered in the order of their turns."""
    async with client_of(own) as interactive, client_of(own, GLOBEX) as batch:
        async with holding(own, MESSAGES, ask()):
            posts = [
                client.post(MESSAGES, json=ask(ttft_ms=20), headers={"x-request-id": f"turn-{n}"})
                for n, client in enumerate([batch] * 6 + [interactive] * 9)
            ]
            waiting = asyncio.gather(*posts)
            await in_line(own, interactive=9, batch=6)
        answers = await waiting
    assert statuses(answers) == {200: 15}
    rows = [own.row(f"turn-{number}") for number in range(15)]
    rows.sort(key=lambda row: row["start_ms"] + row["latency_us"] // 1000)
    assert Counter(row["tenant"] for row in rows[:8]) == {"acme": 6, "globex": 2}
    assert {row["tenant"] for row in rows[12:]} == {"globex"}
    longest = max(answers, key=waited_ms)
    row = own.row(longest.headers["x-request-id"])
    assert row["latency_us"] >= waited_ms(longest) * 1000 > 15 * 20_000


async def test_a_wait_that_would_be_too_long_is_not_begun(own):
    """One place, held for a second or more: behind one who waits it takes two of them."""
    async with client_of(own) as client:
        taught = await client.post(TEXT, json=complete(ttft_ms=1000))
        async with holding(own, TEXT, complete()):
            first = asyncio.ensure_future(client.post(TEXT, json=complete()))
            await in_line(own, interactive=1)
            refused = await client.post(
                TEXT, json=complete(), headers={"x-stainless-read-timeout": "1.8"}
            )
            headers = {"x-request-timeout": "24"}
            patient = asyncio.ensure_future(client.post(TEXT, json=complete(), headers=headers))
            await in_line(own, interactive=2)
            begun_s = time.monotonic()
            await asyncio.sleep(0.3)
            held_ms = int((time.monotonic() - begun_s) * 1000)
        answers = await asyncio.gather(first, patient)
    assert (refused.status_code, refused.headers["x-headgate-queue"]) == (429, "shed")
    assert waited_ms(refused) == 0
    assert 2 <= int(refused.headers["retry-after"]) <= 2 * taught.elapsed.total_seconds() + 2
    assert refused.json()["error"]["limit"]["name"] == "one"
    assert statuses(answers) == {200: 2}
    assert min(map(waited_ms, answers)) >= held_ms


async def test_a_rate_is_waited_for(own):
    body = {"model": "demo", "input": "hi"}
    async with client_of(own) as client:
        begun_s = time.monotonic()
        answers = await asyncio.gather(
            *(client.post("/v1/embeddings", json=body) for _ in range(6))
        )
        assert time.monotonic() - begun_s >= 0.9
    assert statuses(answers) == {200: 6}
    # 800 where all come at once; where they come one by one, those that come together wait for each other.
    assert max(map(waited_ms, answers)) >= 100


async def test_a_client_that_leaves_frees_its_place_in_line(own):
    async with client_of(own) as client:
        async with holding(own, TEXT, complete()):
            leaves = asyncio.ensure_future(client.post(TEXT, json=complete(ttft_ms=60_000)))
            await in_line(own, interactive=1)
            stays = asyncio.ensure_future(client.post(TEXT, json=complete()))
            await in_line(own, interactive=2)
            leaves.cancel()
            await in_line(own, interactive=1)
        answer = await stays
    assert answer.status_code == 200
    assert waited_ms(answer) > 0
    assert 'queue_shed_total{priority="interactive",reason="gone"}' in own.metrics()


async def test_who_waits_in_a_killed_worker_holds_nobody_up(own):
    """Its own are cut; all others are served, by the worker that is left."""
    victim = own.worker_pids()[0]
    async with client_of(own) as client:
        async with holding(own, CHAT, ask(), 10):
            asking = [asyncio.ensure_future(client.post(CHAT, json=ask())) for _ in range(40)]
            await in_line(own, interactive=40)
            os.kill(victim, signal.SIGKILL)
            await asyncio.to_thread(wait_for, lambda: victim not in own.worker_pids())
        begun_s = time.monotonic()
        answers = await asyncio.gather(*asking)
        assert time.monotonic() - begun_s < 20
        late = await client.post(CHAT, json=ask())
        assert late.status_code == 200
    found = statuses(answers)
    assert set(found) == {200, 503}
    assert min(found.values()) >= 10
    wait_for(lambda: len(own.worker_pids()) == 2 and victim not in own.worker_pids())


async def test_places_of_those_whose_end_nobody_heard_are_free_again(own):
    """Workers that stand still hear nothing; killed, they never will."""
    workers = own.worker_pids()
    async with client_of(own) as client:
        async with holding(own, CHAT, ask(), 10) as begun:
            ids = {each.headers["x-request-id"] for each in begun}
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
        await asyncio.to_thread(
            wait_for, lambda: ids <= {row["request_id"] for row in own.rows()}, what="ten ends"
        )
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(wait_for, lambda: not {*workers} & {*own.worker_pids()})
        # Envoy may not know yet that they are back.
        while (await client.get("/v1/models")).status_code != 200:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.1)
        answers = await asyncio.gather(*(client.post(CHAT, json=ask()) for _ in range(10)))
    assert statuses(answers) == {200: 10}
    assert max(map(waited_ms, answers)) < 10_000, "a lease is 35 s, and who waits gives up after 25"


async def test_a_worker_that_hangs_keeps_ends_to_itself_for_seconds_only(own):
    """Envoy gives it up when it answers no ping, and whoever hears the next end looks for those before."""
    async with client_of(own) as client:
        for hanging in own.worker_pids():
            async with holding(own, CHAT, ask(), 10):
                os.kill(hanging, signal.SIGSTOP)
            try:
                served = Counter()
                while served[200] < 10:
                    await client.get("/v1/models")  # ends, whatever it is answered
                    wait = {"x-request-timeout": "1"}
                    answer = await client.post(CHAT, json=ask(), headers=wait)
                    served[answer.status_code] += 1
            finally:
                os.kill(hanging, signal.SIGCONT)
            assert served[429] < 20, "a lease is 35 s"
            async with holding(own, CHAT, ask(), 10) as held:
                assert statuses(held) == {200: 10}
