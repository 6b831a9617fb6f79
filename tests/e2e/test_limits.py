"""Limits as clients meet them: two workers, real Envoy, a real Redis-compatible server."""

import asyncio
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from statistics import median
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from openai import OpenAI, RateLimitError

from extproc.counting.lengths import LEAST_SEEN
from tests.e2e.conftest import ACME, GLOBEX, wait_for
from tests.e2e.limits import CHAT, GUARD_S, ask, holding, limited, push, statuses, tokens

TPM = {"name": "tenant-tpm", "per": "tenant", "tokens": 1000, "every": "minute", "strict": True}
SLOTS = {"name": "slots", "per": "model", "concurrent": 10, "operations": ["chat"]}
BULK = {"name": "bulk", "tokens": 10_000, "every": "hour", "strict": True,
        "operations": ["completions"]}  # fmt: skip
CALLS = {"name": "calls", "per": "key", "requests": 3, "every": "day", "keys": ["globex-1"]}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with limited(tmp_path_factory.mktemp("limits"), SLOTS, BULK, CALLS) as gateway:
        yield gateway


def cli(own, *arguments, code=0):
    """What the command says, on whichever stream."""
    command = [sys.executable, "-m", "extproc.cli", *arguments, "--state", str(own.state)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def wait_until_free(own):
    """Until all places are given back: well before their leases end, which is after 35 s."""
    wait_for(
        lambda: json.loads(cli(own, "limits", "show", "--name", "slots", "--json")) == [],
        deadline_s=25,
        what="all places to be free",
    )


@pytest.mark.parametrize(("service_ms", "each"), [(200, 20), (20, 60)])
async def test_ten_places_for_ten_clients_are_enough(own, service_ms, each):
    """A place that is given back late refuses somebody. That a busy machine stops a process for a while may
    cost each client one time, however often it is refused meanwhile."""
    wait_until_free(own)
    body, headers = ask(ttft_ms=service_ms), {"authorization": f"Bearer {ACME}"}
    refused = Counter()
    async with httpx.AsyncClient(base_url=own.url, headers=headers, timeout=30) as client:

        async def go(name):
            for number in range(each):
                while (answer := await client.post(CHAT, json=body)).status_code == 429:
                    refused[name, number] += 1
                assert answer.status_code == 200

        await asyncio.gather(*map(go, range(10)))
    assert len(refused) <= 0.2 * 10 * each, refused


async def test_the_eleventh_is_told_that_all_places_are_taken(own):
    wait_until_free(own)
    async with holding(own, CHAT, ask(), 12) as answers:
        assert statuses(answers) == {200: 10, 429: 2}
        refused = next(answer for answer in answers if answer.status_code == 429)
        error = json.loads(await refused.aread())["error"]
    assert (error["code"], error["limit"]["name"], error["limit"]["scope"]) == (
        "rate_limit_exceeded", "slots", "demo",
    )  # fmt: skip
    assert int(refused.headers["retry-after"]) >= 1


def reset_after(own, seconds):
    """Ask, and break the connection off so much later."""
    url = urlsplit(own.url)
    body = json.dumps(ask("hi " * 50)).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ACME}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(head.encode() + body)
        time.sleep(seconds)


def test_clients_that_leave_while_it_is_decided_keep_no_place(own):
    """Some leave after their place was taken and before Envoy could hear of it."""
    dice = random.Random(7)
    for _ in range(300):
        reset_after(own, dice.uniform(0, 0.004))
    wait_until_free(own)


async def test_two_hundred_connections_admit_no_token_too_many(own):
    """10 000 tokens an hour, `strict`, two workers: what is admitted stays below, and close to it."""
    body = {"model": "demo", "prompt": "count me " * 20, "max_tokens": 40, "x_sim": {}}
    headers = {"authorization": f"Bearer {ACME}"}
    limits = httpx.Limits(max_connections=200)

    async with httpx.AsyncClient(
        base_url=own.url, headers=headers, timeout=60, limits=limits
    ) as client:

        async def go():
            return [await client.post("/v1/completions", json=body) for _ in range(4)]

        found = await asyncio.gather(*(go() for _ in range(200)))
    answers = [answer for some in found for answer in some]
    assert set(statuses(answers)) == {200, 429}

    def is_nearly_full():  # much of it may have been reserved, and not yet used, when all had asked
        with own.http() as http:
            answers.append(http.post("/v1/completions", json=body))
        return tokens(answers) > 8_000

    await asyncio.to_thread(wait_for, is_nearly_full, what="what was not used to be given back")
    assert tokens(answers) <= 10_000
    amounts = [line for line in own.metrics().splitlines() if 'limit="bulk"' in line]
    assert any('kind="used"' in line for line in amounts)
    assert not any('kind="overshoot"' in line for line in amounts)


def test_a_key_that_has_used_its_calls_is_told_so(own):
    with own.http(GLOBEX) as http:
        first = [http.post(CHAT, json=ask()) for _ in range(3)]
        last = http.post(CHAT, json=ask())
    left = [answer.headers["x-ratelimit-remaining-requests"] for answer in first]
    assert (left, [answer.status_code for answer in first]) == (["2", "1", "0"], [200] * 3)
    assert last.status_code == 429
    assert last.headers["x-ratelimit-remaining-requests"] == "0"
    assert last.headers["x-headgate-limit"] == "calls"
    row = own.row(last.headers["x-request-id"])
    assert (row["deny_reason"], row["endpoint"]) == ("rate_limit_exceeded", None)
    (standing,) = json.loads(cli(own, "limits", "show", "--name", "calls", "--json"))
    assert (standing["scope"], standing["used"], standing["remaining"]) == (
        "globex/globex-1", 3, 0,
    )  # fmt: skip
    assert "calls" in cli(own, "limits", "show", "--tenant", "globex")
    assert "calls" not in cli(own, "limits", "show", "--tenant", "acme")
    assert "reset 1 count of calls" in cli(own, "limits", "reset", "calls", "--yes")
    with own.http(GLOBEX) as http:
        assert http.post(CHAT, json=ask()).status_code == 200
    cli(own, "limits", "reset", "calls", "nobody", "--yes", code=1)
    assert "no limit 'other'" in cli(own, "limits", "show", "--name", "other", code=1)
    assert cli(own, "budget") == "the policy has no budgets\n"


def test_the_ledger_is_played_against_other_limits(own, tmp_path):
    with own.http() as http:
        rows = [own.row(http.post(CHAT, json=ask()).headers["x-request-id"]) for _ in range(3)]
    assert all(row["status"] == 200 for row in rows)
    limit = {"name": "two", "per": "key", "requests": 2, "every": "31d"}
    written = {
        "pools": [{"name": "p", "endpoints": ["10.0.0.1:80"]}],
        "models": [{"name": "demo", "pool": "p", "price": {"input_usd": 1, "output_usd": 1}}],
        "limits": [limit],
    }
    (tmp_path / "tried.yaml").write_text(yaml.safe_dump(written))
    said = cli(own, "policy", "replay", "--policy", str(tmp_path), "--json")
    acme = json.loads(said)["acme"]
    assert acme["refused"] == acme["refused_by"]["two"] == acme["requests"] - 2
    assert float(acme["cost_now_usd"]) > float(acme["cost_then_usd"]) == 0
    assert "refused" in cli(own, "policy", "replay", "--policy", str(tmp_path))
    assert "cannot read" in cli(
        own, "policy", "replay", "--policy", str(tmp_path), "--since", "x", code=1
    )


def test_the_sdk_sees_a_rate_limit(own):
    client = OpenAI(base_url=f"{own.url}/v1", api_key=ACME, max_retries=0)
    with pytest.raises(RateLimitError) as caught:
        client.completions.create(model="demo", prompt="x" * 100_000, max_tokens=10)
    assert caught.value.code == "request_above_limit"
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_what_was_reserved_and_not_used_is_given_back(tmp_path):
    """2 000 tokens for ever: refusals, errors and clients that leave must not eat them up."""
    limit = {"name": "total", "tokens": 2000, "every": "31d"}
    with limited(tmp_path, limit) as own, own.http() as http:
        for body in (
            ask(fault="error_500"), ask(model="nobody"), {**ask(), "model": "nobody"},
            {**ask(), "messages": []},
        ):  # fmt: skip
            http.post(CHAT, json=body)
        used = 0
        for stream in (False, True) * 3:
            answer = http.post(CHAT, json=ask(stream=stream, max_tokens=5))
            assert answer.status_code == 200
            row = own.row(answer.headers["x-request-id"])
            used += row["prompt_tokens"] + row["completion_tokens"]
        soon = httpx.Timeout(30, read=0.3)
        with pytest.raises(httpx.ReadTimeout):
            http.post(
                CHAT, json=ask(ttft_ms=30_000), timeout=soon, headers={"x-request-id": "left"}
            )
        own.row("left")

        def stands():
            answer = http.post(CHAT, json=ask(max_tokens=1))
            row = own.row(answer.headers["x-request-id"])
            nonlocal used
            used += row["prompt_tokens"] + row["completion_tokens"]
            left = int(answer.headers["x-ratelimit-remaining-tokens"])
            reserved = int(answer.headers["x-headgate-reserved-tokens"])
            return 2000 - left - reserved <= used + 60 and used <= 2000 - left + 60

        wait_for(stands, what="all to be settled")


def test_without_its_counters_a_limit_does_as_it_says(tmp_path):
    """The server is killed, and kept from coming back for a moment."""
    local = {"name": "local", "per": "tenant", "requests": 20, "every": "hour", "tenants": ["acme"]}
    deny = {"name": "deny", "per": "tenant", "requests": 20, "every": "hour",
            "tenants": ["globex"], "on_fault": "deny"}  # fmt: skip
    env = {"HEADGATE_REDIS_DEADLINE_MS": "20"}  # as it is by itself
    with (
        limited(tmp_path, local, deny, env=env) as own,
        own.http() as acme,
        own.http(GLOBEX) as globex,
    ):
        assert acme.post(CHAT, json=ask()).status_code == 200
        assert globex.post(CHAT, json=ask()).status_code == 200
        pid = next(pid for pid, line in own.children().items() if "valkey" in line.split()[0])
        os.kill(pid, signal.SIGSTOP)
        try:
            answers = [acme.post(CHAT, json=ask()) for _ in range(40)]
            assert answers[0].headers["x-headgate-limits"] == "local"
            assert median(answer.elapsed.total_seconds() for answer in answers) < 1
            admitted = statuses(answers)[200]
            assert 10 <= admitted <= 20, "half of it for each of two workers"
            refused = globex.post(CHAT, json=ask())
            assert (refused.status_code, refused.json()["error"]["code"]) == (
                503, "limits_unavailable",
            )  # fmt: skip
        finally:
            os.kill(pid, signal.SIGCONT)
        back = wait_for(
            lambda: (a := globex.post(CHAT, json=ask())).status_code == 200 and a, what="the server"
        )
        assert "x-headgate-limits" not in back.headers
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: pid not in own.children(), what="the end of the server")
        wait_for(
            lambda: "x-headgate-limits" not in acme.post(CHAT, json=ask()).headers,
            what="the server, started again",
        )
        assert "headgate_limits_degraded_total" in own.metrics()
        alerts = 'headgate_alerts_total{kind="limits_fault"}'
        wait_for(lambda: alerts in own.metrics(), what="an alert")


async def test_all_workers_learn_how_long_answers_are(tmp_path):
    """Whichever of them Envoy tells of the ends: little is reserved for the next ones."""
    ample = {"name": "ample", "tokens": 1_000_000, "every": "day"}
    unbound = ask(fault="error_500")  # of which nothing is learned
    del unbound["max_tokens"]
    with limited(tmp_path, ample) as own:
        answers = await push(own, 1, ask(), each=2 * LEAST_SEEN)  # one worker is told of all
        assert statuses(answers) == {200: len(answers)}

        async def reserve_little():
            """At first 1024 tokens are kept for each."""
            burst = await push(own, 12, unbound, each=1)
            left = min(int(each.headers["x-ratelimit-remaining-tokens"]) for each in burst)
            return 1_000_000 - left - tokens(answers) < 1024

        async with asyncio.timeout(GUARD_S):
            while not await reserve_little():  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(1)  # until those are over, what is kept for them is missing
