"""The cache through real Envoy: who is answered without an engine, in which form, and what it costs."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from functools import partial

import httpx
import pytest

from faults.stand import read_tokens
from tests.e2e.conftest import ACME, GLOBEX, ROOT, events, free_port, wait_for
from tests.e2e.limits import limited

CHAT = "/v1/chat/completions"
RULES = {
    "rules": [
        {"tenants": ["acme"], "ttl": "10m", "bill": 0.25, "stale_if_error": "1h", "wait_s": 25},
        {"tenants": ["globex"], "ttl": "10m", "charge_limits": True},
    ]
}


@contextlib.contextmanager
def engine():
    """A built-in engine that tests may end: its process, and its port."""
    port = free_port()
    words = ["-m", "engines.sim", "--port", str(port), "--model", "demo"]
    process = subprocess.Popen([sys.executable, *words])

    def answers():
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
        return False

    try:
        wait_for(answers, what="the engine")
        yield process, port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cache")
    few = {"name": "few", "requests": 1000, "every": "1h", "tenants": ["globex"]}
    with engine() as (process, port):
        pools = [{"name": "sim", "endpoints": [f"127.0.0.1:{port}"]}]
        models = [{"name": "demo", "pool": "sim", "price": {"input_usd": 10, "output_usd": 20}}]
        with limited(
            directory, few, flags=("--workers", "1"), cache=RULES, models=models, pools=pools
        ) as gateway:
            gateway.engine, gateway.engine_port = process, port
            yield gateway


def spent(gateway):
    """Tokens that the engine has made."""
    return read_tokens(f"127.0.0.1:{gateway.engine_port}")


def ask(text, **more):
    said = [{"role": "user", "content": text}]
    return {"model": "demo", "messages": said, "max_tokens": 400, "temperature": 0, **more}


def post(gateway, body, key=ACME, path=CHAT, **headers):
    with gateway.http(key) as http:
        answer = http.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def said(answer):
    return answer.headers["x-headgate-cache"]


def filled(gateway, body, key=ACME, path=CHAT):
    """The answer that is kept from now on. Whoever asks before it is has it from whoever asked first."""
    first = post(gateway, body, key, path)
    assert said(first) == "miss"

    def is_kept():
        told = said(post(gateway, body, key, path))
        assert told.startswith("hit") or 'result="fault"' in gateway.metrics(), told
        return told.startswith("hit; kind=exact")

    wait_for(is_kept, what="the answer to be kept")
    return first


def test_the_second_time_no_engine_is_asked(cached):
    first = filled(cached, ask("exact"))
    before = spent(cached)
    again = post(cached, ask("exact", temperature=0.0))
    assert said(again).startswith("hit; kind=exact; age=")
    assert spent(cached) == before
    one, other = first.json(), again.json()
    assert one.pop("id") != other.pop("id")
    assert one["choices"][0]["message"]["content"] == other["choices"][0]["message"]["content"]
    assert one["usage"]["total_tokens"] == other["usage"]["total_tokens"]


def test_a_hit_comes_in_the_form_that_is_asked_for(cached):
    filled(cached, ask("form"))
    client = cached.client()
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(**ask("form", **options)))
    whole = client.chat.completions.create(**ask("form"))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    streamed = post(cached, ask("form", stream=True))
    assert said(streamed).startswith("hit; kind=exact")
    assert not any("usage" in each for each in events(streamed.text))


def test_a_stream_fills_it_as_well(cached):
    with cached.http() as http:
        first = http.post(CHAT, json=ask("stream", stream=True))
    text = "".join(each["choices"][0]["delta"].get("content", "") for each in events(first.text))
    again = post(cached, ask("stream"))
    assert said(again).startswith("hit")
    assert again.json()["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"model": "demo", "prompt": "a b c"}),
        ("/v1/messages", {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/responses", {"model": "demo", "input": "hello"}),
    ],
)
def test_the_other_apis(cached, path, body):
    limit = "max_output_tokens" if path == "/v1/responses" else "max_tokens"
    body = {**body, limit: 400, "temperature": 0}
    first = filled(cached, body, path=path).json()
    again = post(cached, body, path=path)
    assert said(again).startswith("hit")
    assert strip(again.json()).keys() >= strip(first).keys() - {"system_fingerprint"}
    streamed = post(cached, {**body, "stream": True}, path=path)
    assert said(streamed).startswith("hit")
    assert streamed.headers["content-type"].startswith("text/event-stream")


def strip(document):
    return {name: value for name, value in document.items() if value is not None}


def test_another_tenant_does_not_find_it(cached):
    filled(cached, ask("mine"))
    assert said(post(cached, ask("mine"), GLOBEX)) == "miss"


def test_who_wants_nothing_kept_says_so(cached):
    for _ in range(2):
        answer = post(cached, ask("secret"), **{"cache-control": "no-store"})
        assert said(answer) == "bypass; reason=no-store"
    assert said(post(cached, ask("secret"))) == "miss"
    assert said(post(cached, ask("secret"), **{"cache-control": "no-cache"})) == "miss"
    assert said(post(cached, ask("warm", temperature=1))) == "bypass; reason=temperature"


def test_a_hit_is_billed_by_policy_and_flagged(cached):
    paid = cached.row(filled(cached, ask("bill")).headers["x-request-id"])
    hit = cached.row(post(cached, ask("bill")).headers["x-request-id"])
    assert (hit["status"], hit["pool"], hit["endpoint"]) == (200, "(cache)", None)
    assert (hit["prompt_tokens"], hit["completion_tokens"]) == (
        paid["prompt_tokens"], paid["completion_tokens"],
    )  # fmt: skip
    assert hit["completion_pusd"] * 4 == paid["completion_pusd"]
    assert hit["uncached_pusd"] == hit["prompt_tokens"] * 2_500_000


def test_hits_may_take_from_limits(cached):
    first = filled(cached, ask("limits"), GLOBEX)
    hit = post(cached, ask("limits"), GLOBEX)
    assert said(hit).startswith("hit")
    assert first.headers["x-ratelimit-remaining-requests"]
    row = cached.row(hit.headers["x-request-id"])
    assert (row["pool"], row["completion_pusd"]) == ("(cache)", 0)


async def test_equal_requests_at_the_same_time_ask_an_engine_once(cached):
    """The engine is stopped until four of five wait for what it will say to one of them."""
    body, before, begun = ask("together"), spent(cached), waiting(cached)
    headers = {"authorization": f"Bearer {ACME}"}
    cached.engine.send_signal(signal.SIGSTOP)
    try:
        async with (
            httpx.AsyncClient(base_url=cached.url, headers=headers, timeout=30) as http,
            asyncio.TaskGroup() as tasks,
        ):
            asking = [tasks.create_task(http.post(CHAT, json=body)) for _ in range(5)]
            all_wait = partial(wait_for, lambda: waiting(cached) == begun + 4, 20, "four who wait")
            await asyncio.to_thread(all_wait)
            cached.engine.send_signal(signal.SIGCONT)
    finally:
        cached.engine.send_signal(signal.SIGCONT)
    answers = [each.result() for each in asking]
    told = sorted(said(answer) for answer in answers)
    assert told == ["hit; kind=coalesced; age=0"] * 4 + ["miss"]
    made = spent(cached).generation - before.generation
    assert made == answers[0].json()["usage"]["completion_tokens"]
    wait_for(lambda: can_answer(cached), what="the engine to be believed in again")


def waiting(gateway):
    """How often a worker has asked for time."""
    return gateway.envoy_count("http.clients.ext_proc.override_message_timeout_received")


def can_answer(gateway):
    with gateway.http() as http:
        return http.post(CHAT, json=ask("up?", max_tokens=1)).status_code == 200


def headgate(*words):
    return subprocess.run(
        [sys.executable, "-m", "extproc.cli", *words],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_it_can_be_looked_at_and_purged(cached):
    filled(cached, ask("purge"))
    told = headgate("cache", "stats", "--state", str(cached.state), "--json")
    (mine,) = [e for e in json.loads(told.stdout) if e["tenant"] == "acme"]
    assert mine["model"] == "demo"
    assert mine["answers"] >= 1
    done = headgate("cache", "purge", "--tenant", "acme", "--state", str(cached.state), "--yes")
    assert done.returncode == 0, done.stderr
    assert said(post(cached, ask("purge"))) == "miss"

    def record():
        asked = ("audit", "search", "--action", "cache.purged", "--json")
        return json.loads(headgate(*asked, "--state", str(cached.state)).stdout)

    (noted,) = wait_for(record, what="the record of it")
    assert (noted["object"], noted["tenant"], noted["outcome"]) == ("all models", "acme", "done")
    assert noted["members"]["answers"] >= 1


def test_its_numbers_are_told(cached):
    filled(cached, ask("numbers"))
    line = 'headgate_cache_requests_total{reason="exact",result="hit"}'
    wait_for(lambda: line in cached.metrics(), what="the metrics")


def test_when_no_engine_can_answer_an_old_answer_may(cached):
    """Last: it stops the engines."""
    body = ask("stale")
    filled(cached, body)
    cached.engine.kill()
    with cached.http() as http:

        def stale():
            answer = http.post(CHAT, json=body, headers={"cache-control": "max-age=0"})
            told = answer.headers.get("x-headgate-cache", "")
            return told if told.startswith("stale") else None

        assert wait_for(stale, what="an old answer").startswith("stale; kind=exact; age=")
        assert http.post(CHAT, json=ask("never asked")).status_code == 503
