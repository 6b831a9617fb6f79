"""What clients and the ledger see when something breaks. Each test harms a gateway of its own."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from functools import partial
from operator import gt

import httpx
import pytest

from dataplane.render import write
from extproc.cli.admin import HEALTHY_WORKERS, admin_session, read_stat, reopen_logs
from extproc.cli.rotate import AccessLog
from extproc.policy.status import read_statuses
from ledger.finished import finished
from tests.e2e.conftest import ACME, count_running, running, wait_for
from tests.e2e.recording import recording

CHAT = "/v1/chat/completions"
HEADERS = {"authorization": f"Bearer {ACME}"}
WELL = "cluster.workers.health_check.success"
"""Envoy's count of looks at a worker that found it well."""
EJECTED = '"event":"endpoint_ejected"'


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


@pytest.fixture(scope="module")
def stormed(tmp_path_factory):
    """Another: of two engines that were slow to a storm, the one that has first shown to be faster gets all
    that comes one by one, and tests of `own` want both to be picked."""
    with running(tmp_path_factory.mktemp("stormed") / "s") as gateway:
        yield gateway


@pytest.fixture
def http(own):
    with own.http() as client:
        yield client


async def storm(url, rate, harm, body, name="storm"):
    """Send `rate` requests a second until `harm` is done; return (request id, status, JSON or None),
    one for each."""

    async def one(client, request_id):
        answer = await client.post(CHAT, json=body, headers={"x-request-id": request_id})
        return request_id, answer.status_code, answer.json()

    limits, loop = httpx.Limits(max_connections=500), asyncio.get_running_loop()
    async with (
        httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=30, limits=limits) as client,
        asyncio.TaskGroup() as group,
    ):
        harming, sent, begun_s = group.create_task(harm), [], loop.time()
        while not harming.done():
            sent.append(group.create_task(one(client, f"{name}-{len(sent)}")))
            await asyncio.sleep(begun_s + len(sent) / rate - loop.time())
    return [each.result() for each in sent]


async def both_workers_healthy(own, *ended):
    """Wait until Envoy uses both, neither of which is one that has `ended`: who kills the second before the
    first is back kills the gateway."""

    def both_listen():
        pids = {each.pid for each in read_statuses(own.layout.run)}
        sockets = [own.layout.worker_socket(number) for number in range(2)]
        return len(pids) == 2 and not pids & set(ended) and all(path.exists() for path in sockets)

    async with (
        asyncio.timeout(60),  # a worker takes seconds of CPU to start
        admin_session(own.layout.admin_socket, timeout_s=60) as admin,
    ):
        while not both_listen():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.1)
        # Envoy looks once a second, so what it says may be older than what we have seen. Of three looks that
        # found somebody well one was at the second worker, or two looks at it have failed, and it is out.
        looks = await read_stat(admin, WELL) + 3
        while await read_stat(admin, WELL) < looks:  # noqa: ASYNC110 - Envoy tells only when asked
            await asyncio.sleep(0.1)
        while await read_stat(admin, HEALTHY_WORKERS) < 2:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.1)


async def test_killed_workers_harm_no_request_that_is_decided(stormed):
    """kill -9 one of two workers, four times, under 50 requests a second with a TTFT of 1 s."""

    async def kill():
        victims = []
        for number in range(4):
            await both_workers_healthy(stormed, *victims)
            victims.append(sorted(stormed.worker_pids())[number % 2])
            os.kill(victims[-1], signal.SIGKILL)
        await both_workers_healthy(stormed, *victims)

    results = await storm(stormed.url, 50, kill(), ask(ttft_ms=1000))
    rows = wait_for(
        lambda: len(found := stormed.rows("request_id like 'storm-%'")) == len(results) and found
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
    assert not stormed.rows("unsettled")
    wait_for(lambda: len(stormed.worker_pids()) == 2, what="both workers")


async def test_workers_asked_to_stop_harm_nobody(stormed):
    """SIGTERM to one worker after the other: it drains, the other takes over, it comes back."""

    async def stop_each():
        await both_workers_healthy(stormed)
        victims = sorted(stormed.worker_pids())
        for number, victim in enumerate(victims):
            os.kill(victim, signal.SIGTERM)
            await both_workers_healthy(
                stormed, *victims[: number + 1]
            )  # as a rolling restart waits

    results = await storm(stormed.url, 50, stop_each(), ask(), "drain")
    refused = [row for row in stormed.rows("request_id like 'drain-%'") if row["status"] != 200]
    assert {status for _, status, _ in results} == {200}, refused


def test_engine_that_dies_before_its_headers_costs_a_retry(own, http):
    """Here both engines do, so all tries fail."""
    answer = http.post(CHAT, json=ask(fault="cut_before_headers"))
    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "server_error"
    row = own.row(answer.headers["x-request-id"])
    assert row["attempts"] > 1
    assert row["completion_tokens"] in (0, None)


def test_the_next_endpoint_answers_for_one_that_will_not(tmp_path):
    """One engine says 503 to everything, the other serves: every request gets its answer, once."""
    with (
        recording() as bad,
        recording() as good,
        running(tmp_path / "s", "--engine", bad.url, "--engine", good.url) as own,
        own.http() as http,
    ):
        bad.status = 503
        rows = []

        def asked_first():
            """Whether each of them was, by now: whom a request is sent to first is the picker's choice."""
            rows.append(own.row(http.post(CHAT, json=ask()).headers["x-request-id"]))
            return {row["attempts"] for row in rows} == {1, 2}

        wait_for(asked_first, what="a request that was sent to the one that will not")
        assert {row["status"] for row in rows} == {200}
        assert {row["endpoint"] for row in rows} == {good.url.removeprefix("http://")}
        assert {row["completion_tokens"] for row in rows} == {4}, "a retry was billed twice"
        assert len(own.rows("operation = 'chat'")) == len(rows)
        assert bad.seen


def test_all_engines_gone(tmp_path):
    with (
        recording() as engine,
        running(tmp_path / "s", "--engine", engine.url) as own,
        own.http() as http,
    ):
        assert http.post(CHAT, json=ask()).status_code == 200
        engine.shutdown()
        engine.server_close()

        def refused():
            answer = http.post(CHAT, json=ask())
            if answer.status_code == 200:  # on a connection that was open before
                return None
            assert answer.status_code == 503
            assert answer.json()["error"]["type"] == "server_error"
            return answer.json()["error"]["code"] == "no_endpoint" and answer

        answer = wait_for(refused, what="the probes to notice")
        assert int(answer.headers["retry-after"]) > 0
        row = own.row(answer.headers["x-request-id"])
        assert (row["deny_reason"], row["endpoint"]) == ("no_endpoint", None)


def test_too_many_request_bytes_in_flight(tmp_path):
    """Four bodies of 6 MiB that are still coming hold all the room there is for large ones."""
    env = {"HEADGATE_MAX_HELD_BYTES": str(48 * 1024 * 1024)}
    with (
        running(tmp_path / "s", "--workers", "1", env=env) as own,
        contextlib.ExitStack() as open_,
        own.http() as http,
    ):
        size = 6 * 1024 * 1024
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {ACME}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
        ).encode()
        for _ in range(4):
            slow = open_.enter_context(socket.create_connection(("127.0.0.1", own.port)))
            slow.sendall(head)
        body = json.dumps(ask(pad="x" * size))

        def refused():
            answer = http.post(CHAT, content=body, headers={"content-type": "application/json"})
            return answer.status_code == 503 and answer

        answer = wait_for(refused, what="the room to be taken")
        assert answer.json()["error"]["code"] == "gateway_overloaded"
        assert answer.headers["retry-after"] == "1"
        assert http.post(CHAT, json=ask()).status_code == 200, "small ones must find room"
        open_.close()
        wait_for(
            lambda: (
                http.post(
                    CHAT, content=body, headers={"content-type": "application/json"}
                ).status_code
                == 200
            ),
            what="the room to be given back",
        )


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


def test_client_that_leaves_before_the_first_token(own):
    body = json.dumps(ask(ttft_ms=60_000)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {ACME}\r\n"
    head += f"X-Request-Id: early-1\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\n\r\n"
    with socket.create_connection(("127.0.0.1", own.port)) as client:
        client.sendall(head.encode() + body)
        wait_for(lambda: sum(map(count_running, own.engines())), what="an engine to have it")
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

    def count_ejections():
        """By worker: of this one, in the log, which has those of earlier tests, too."""
        logs = [own.state / "log" / f"worker-{n}.log" for n in range(2)]
        told = [log.read_text().splitlines() for log in logs]
        return [sum(EJECTED in line and victim in line for line in lines) for lines in told]

    before = count_ejections()
    os.kill(pid, signal.SIGSTOP)  # hangs, which is worse than gone: nothing refuses
    try:
        wait_for(
            lambda: all(map(gt, count_ejections(), before)),
            what="the probes",
        )
        answers = [http.post(CHAT, json=ask()) for _ in range(6)]
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

    write(whole.replace(f"  - {first}\n", ""), path)
    wait_for(served_by({second}), what="the first endpoint to be left out")
    write(whole, path)
    wait_for(served_by({first, second}), what="it to be back")
    assert envoy in own.children()


def test_a_bad_policy_changes_nothing_and_is_seen(own, http):
    path = own.state / "policy" / "engines.yaml"
    whole = path.read_text()
    write(whole.replace("pool: local", "pool: lokal"), path)
    try:
        log = own.state / "log" / "worker-0.log"
        wait_for(lambda: "there is no pool 'lokal'" in log.read_text(), what="the complaint")
        assert http.post(CHAT, json=ask()).status_code == 200
        wait_for(
            lambda: 'headgate_policy_reloads_total{result="rejected"} 2.0' in own.metrics(),
            what="the metric",
        )
    finally:
        write(whole, path)


async def test_workers_that_start_under_a_bad_policy_serve_the_last_good_one(own, http):
    path = own.state / "policy" / "engines.yaml"
    whole = path.read_text()
    write("models: [{", path)
    try:
        before = own.worker_pids()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await both_workers_healthy(own, *before)
        assert http.post(CHAT, json=ask()).status_code == 200
    finally:
        write(whole, path)


async def test_the_access_log_is_set_aside_while_it_is_written(own, http):
    """Four times in the middle of requests: every one of them has its row, once."""
    reopen = partial(reopen_logs, own.state / "run" / "envoy-admin.sock")
    done = partial(finished, own.state / "ledger.sqlite")
    log = AccessLog(own.state / "log" / "access.jsonl", reopen, done)
    ids = []
    for number in range(40):
        if number % 10 == 5:
            while not await log.rotate(1):  # noqa: ASYNC110 - nothing is written into it yet
                await asyncio.sleep(0.01)
        ids.append(http.post(CHAT, json=ask()).headers["x-request-id"])
    rows = [own.row(request_id) for request_id in ids]
    assert {row["completion_tokens"] for row in rows} == {3}


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
