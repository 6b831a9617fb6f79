"""What clients and the ledger see when something breaks. Each test harms a gateway of its own."""

import asyncio
import os
import signal

import httpx
import pytest

from tests.e2e.conftest import ACME, running, wait_for

CHAT = "/v1/chat/completions"
HEADERS = {"authorization": f"Bearer {ACME}"}


def ask(*, stream=False, max_tokens=3, **sim):
    return {
        "model": "demo", "stream": stream, "max_tokens": max_tokens, "x_sim": sim,
        "messages": [{"role": "user", "content": "hi"}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A gateway that this file may harm; it mends itself."""
    with running(tmp_path_factory.mktemp("faults") / "s") as gateway:
        yield gateway


@pytest.fixture
def http(own):
    with own.http() as client:
        yield client


async def storm(url, rate, seconds, body, name="storm"):
    """Send `rate` requests a second; return (request id, status, JSON or None), one for each."""

    async def one(client, number):
        await asyncio.sleep(number / rate)
        request_id = f"{name}-{number}"
        answer = await client.post(CHAT, json=body, headers={"x-request-id": request_id})
        return request_id, answer.status_code, answer.json()

    limits = httpx.Limits(max_connections=500)
    async with httpx.AsyncClient(
        base_url=url, headers=HEADERS, timeout=30, limits=limits
    ) as client:
        return await asyncio.gather(*(one(client, n) for n in range(rate * seconds)))


async def test_killed_workers_harm_no_request_that_is_decided(own):
    """kill -9 one of two workers, four times, under 50 requests a second with a TTFT of 1 s."""

    async def kill():
        killed = set()
        for _ in range(4):
            await asyncio.sleep(2)
            victim = min(set(own.worker_pids()) - killed)
            killed.add(victim)
            os.kill(victim, signal.SIGKILL)

    results, _ = await asyncio.gather(storm(own.url, 50, 10, ask(ttft_ms=1000)), kill())
    rows = wait_for(
        lambda: len(found := own.rows("request_id like 'storm-%'")) == len(results) and found
    )
    by_id = {row["request_id"]: row for row in rows}
    assert len(by_id) == len(results), "a request is missing, or there twice"
    for request_id, status, document in results:
        row = by_id[request_id]
        assert row["status"] == status
        if status != 200:
            assert status == 503, document
            assert document["error"]["type"] == "server_error"
            assert row["endpoint"] is None, "it had its decision and failed all the same"
        else:
            assert row["completion_tokens"] == 3
    assert sum(status == 200 for _, status, _ in results) >= 0.9 * len(results)
    assert not own.rows("unsettled")
    wait_for(lambda: len(own.worker_pids()) == 2, what="both workers")


async def test_workers_asked_to_stop_harm_nobody(own):
    """SIGTERM to one worker after the other: it drains, the other takes over, it comes back."""

    async def stop_each():
        for victim in sorted(own.worker_pids()):
            os.kill(victim, signal.SIGTERM)
            await asyncio.sleep(5)  # as a rolling restart waits until the new one is ready

    results, _ = await asyncio.gather(storm(own.url, 50, 10, ask(), "drain"), stop_each())
    refused = [row for row in own.rows("request_id like 'drain-%'") if row["status"] != 200]
    assert {status for _, status, _ in results} == {200}, refused


def test_engine_that_dies_before_its_headers_costs_a_retry(own, http):
    """Both engines cut before headers, so all tries fail; then one that answers 503 once."""
    answer = http.post(CHAT, json=ask(fault="cut_before_headers"))
    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "server_error"
    row = own.row(answer.headers["x-request-id"])
    assert row["attempts"] > 1
    assert row["completion_tokens"] in (0, None)


def test_engine_that_dies_midway_cuts_the_stream_and_says_so(own, http):
    with (
        pytest.raises(httpx.RemoteProtocolError),
        http.stream(
            "POST", CHAT, json=ask(stream=True, max_tokens=9, fault="cut_after:5"),
            headers={"x-request-id": "midway-1"},
        ) as answer,
    ):  # fmt: skip
        assert answer.status_code == 200
        list(answer.iter_lines())
    row = own.row("midway-1")
    assert row["cut"]
    assert 0 < row["completion_tokens"] < 9
    assert row["attempts"] == 1


def test_client_that_leaves_is_billed_for_what_it_got(own, http):
    before = own.counters()
    with http.stream(
        "POST", CHAT, json=ask(stream=True, max_tokens=500, itl_ms=20),
        headers={"x-request-id": "left-1"},
    ) as answer:  # fmt: skip
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        for _ in range(10):
            next(lines)
    row = own.row("left-1")
    assert 5 <= row["completion_tokens"] < 500
    after = wait_for(lambda: (now := own.counters())[1] > before[1] and now)
    assert row["prompt_tokens"] == after[0] - before[0]
    assert row["completion_tokens"] <= after[1] - before[1] < 500, "the engine did not stop"


def test_client_that_leaves_before_the_first_token(own, http):
    with pytest.raises(httpx.ReadTimeout):
        http.post(CHAT, json=ask(ttft_ms=5000), headers={"x-request-id": "early-1"}, timeout=0.5)
    row = own.row("early-1")
    assert (row["status"], row["tenant"], row["model"]) == (0, "acme", "demo")
    assert row["estimated"], "nobody told what the engine had counted"


def test_engine_503_goes_to_the_next_and_then_to_the_client(own, http):
    answer = http.post(CHAT, json=ask(fault="error_503"))
    assert answer.status_code == 503
    row = own.row(answer.headers["x-request-id"])
    assert row["attempts"] >= 2
    assert len(own.rows("request_id = ?", row["request_id"])) == 1, "retries are one request"


def test_a_killed_engine_is_left_out_and_comes_back(own, http):
    victim = own.engines()[0]
    pid = next(pid for pid, line in own.children().items() if victim.split(":")[1] in line)
    os.kill(pid, signal.SIGSTOP)  # hangs, which is worse than gone: nothing refuses
    try:
        text = 'event":"endpoint_unhealthy"'
        logs = [own.state / "log" / f"worker-{n}.log" for n in range(2)]
        wait_for(lambda: all(text in log.read_text() for log in logs), what="the probes")
        answers = [http.post(CHAT, json=ask(), timeout=5) for _ in range(6)]
        assert {answer.status_code for answer in answers} == {200}
        rows = [own.row(answer.headers["x-request-id"]) for answer in answers]
        assert {row["endpoint"] for row in rows} == {own.engines()[1]}
    finally:
        os.kill(pid, signal.SIGCONT)

    def serves():
        answer = http.post(CHAT, json=ask())
        return own.row(answer.headers["x-request-id"])["endpoint"] == victim

    wait_for(serves, what="the engine to be picked again")


def test_endpoints_change_without_a_restart(own, http):
    """One endpoint fewer, then one more, while Envoy runs on."""
    path = own.state / "policy" / "engines.yaml"
    whole = path.read_text()
    envoy = next(pid for pid, line in own.children().items() if "envoy" in line.split()[0])
    first, second = own.engines()

    def served_by(endpoint):
        def check():
            answers = [http.post(CHAT, json=ask()) for _ in range(4)]
            assert {answer.status_code for answer in answers} == {200}
            rows = [own.row(answer.headers["x-request-id"]) for answer in answers]
            return {row["endpoint"] for row in rows} == endpoint

        return check

    path.write_text(whole.replace(f"  - {first}\n", ""))
    wait_for(served_by({second}), what="the first endpoint to be left out")
    path.write_text(whole)
    wait_for(served_by({first, second}), what="it to be back")
    assert envoy in own.children()


def test_a_bad_policy_changes_nothing_and_is_seen(own, http):
    path = own.state / "policy" / "engines.yaml"
    whole = path.read_text()
    path.write_text(whole.replace("pool: local", "pool: lokal"))
    try:
        log = own.state / "log" / "worker-0.log"
        wait_for(lambda: "there is no pool 'lokal'" in log.read_text(), what="the complaint")
        assert http.post(CHAT, json=ask()).status_code == 200
        wait_for(
            lambda: 'headgate_policy_reloads_total{result="rejected"} 2.0' in own.metrics(),
            what="the metric",
        )
    finally:
        path.write_text(whole)


def test_settle_process_killed_loses_nothing(own, http):
    def settle_pid():
        return next((pid for pid, line in own.children().items() if "-m ledger" in line), None)

    first = settle_pid()
    ids = []
    for number in range(30):
        if number == 10:
            os.kill(first, signal.SIGKILL)
        ids.append(http.post(CHAT, json=ask()).headers["x-request-id"])
    rows = [own.row(request_id) for request_id in ids]
    assert {row["completion_tokens"] for row in rows} == {3}
    assert wait_for(settle_pid) != first
