"""Engines of ours that fall silent with a request in hand: `silence_s` of their pool, through real Envoy."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
import pytest

from tests.e2e.conftest import running, wait_for
from tests.e2e.limits import PATIENT
from tests.e2e.test_pools import CHAT, KEY, model, policy, pool, write
from tests.e2e.test_reload import engines

SILENCE_S = 1
LIMIT = "limits: [{name: one, per: model, models: [m], concurrent: 1, operations: [chat]}]"
"""Whoever is cut off must give back the place, or nobody else gets in."""
SOON_S = 20
"""For a place to be given back, by whom it was taken: its lease ends later."""


def patient(endpoints, silence_s):
    pools = [{"name": "p", "engine": "sim", "endpoints": endpoints, "silence_s": silence_s}]
    pools.append(pool("usual", endpoints[1]))
    models = [
        model("m", "p"),
        model("many", "p"),
        model("chained", "p", fallback=["other"]),
        model("other", "usual"),
    ]
    return policy(pools, models, LIMIT)


@pytest.fixture(scope="module")
def brief(tmp_path_factory):
    directory = tmp_path_factory.mktemp("silence")
    (directory / "policy").mkdir()
    with engines(2) as endpoints:
        write(directory / "policy", patient(endpoints, SILENCE_S))
        flags = ("--policy", str(directory / "policy"))
        with running(directory / "s", *flags, env=PATIENT) as gateway:
            yield gateway, directory / "policy", endpoints


def ask(gateway, name, model_="m", *, http2=False, stream=False, **sim):
    body = {
        "model": model_, "stream": stream, "max_tokens": 9, "ignore_eos": True, "x_sim": sim,
        "messages": [{"role": "user", "content": "hi"}],
    }  # fmt: skip
    with gateway.http(KEY, http1=not http2, http2=http2) as http:
        return http.post(CHAT, json=body, headers={"x-request-id": name})


def test_silent_before_the_first_byte(brief):
    gateway, _, _ = brief
    begun_s = time.monotonic()
    answer = ask(gateway, "silent-1", fault="hang")
    assert time.monotonic() - begun_s > SILENCE_S
    assert answer.status_code == 504
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("gateway_timeout", "server_error")
    row = gateway.row("silent-1")
    assert (row["status"], row["attempts"], row["cut"], row["estimated"]) == (504, 1, 0, 0)
    assert (row["prompt_tokens"], row["completion_tokens"], row["unsettled"]) == (0, 0, 0)
    wait_for(lambda: gets_in(gateway, "next-1"), SOON_S, "its place to be given back")


def gets_in(gateway, name):
    return ask(gateway, name).status_code == 200


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1", "HTTP/2"])
def test_silent_in_the_middle_of_a_stream(brief, http2):
    gateway, _, _ = brief
    names = (f"stops-{http2}-{number}" for number in count())

    def stops():
        """Ask; the name, if the first word has come in time."""
        name = next(names)
        try:
            late = ask(gateway, name, http2=http2, stream=True, ttft_ms=1, itl_ms=60_000)
        except httpx.RemoteProtocolError:
            return name
        assert late.status_code in {429, 504}, "on a busy machine: its place is taken, or silence"
        return None

    row = gateway.row(wait_for(stops, what="a stream that stops"))
    assert (row["status"], row["attempts"], row["cut"], row["estimated"]) == (200, 1, 1, 0)
    assert row["completion_tokens"] == 1, "what came is billed, and nothing else"
    assert row["prompt_tokens"] > 0
    wait_for(lambda: gets_in(gateway, f"next-{http2}"), SOON_S, "its place to be given back")


LATE = {"ttft_ms": 1500 * SILENCE_S}


def test_a_chain_may_be_silent_as_long_as_any_of_its_pools(brief):
    gateway, _, _ = brief
    answer = ask(gateway, "chained-1", "chained", **LATE)
    assert (answer.status_code, answer.headers["x-headgate-model"]) == (200, "chained")
    row = gateway.row("chained-1")
    assert (row["pool"], row["attempts"]) == ("p", 1)


def test_who_is_silent_again_and_again_is_left_alone(brief):
    """The last test but one: from here on engines are suspect."""
    gateway, _, _ = brief
    with ThreadPoolExecutor(12) as threads:
        coming = [
            threads.submit(ask, gateway, f"many-{n}", "many", fault="hang") for n in range(12)
        ]
        assert {each.result().status_code for each in coming} == {504}
    told = 'headgate_endpoint_ejections_total{pool="p",reason="errors"}'
    wait_for(lambda: told in gateway.metrics(), what="a breaker to open")


def test_another_patience_needs_no_restart(brief):
    gateway, directory, endpoints = brief
    assert ask(gateway, "late-1", **LATE).status_code == 504
    routes = gateway.layout.root / "envoy" / "routes.yaml"
    envoy = next(pid for pid, line in gateway.children().items() if "envoy" in line.split()[0])
    write(directory, patient(endpoints, 60))
    wait_for(lambda: "idle_timeout: 60s" in routes.read_text(), what="the new routes")
    wait_for(lambda: ask(gateway, "late-2", **LATE).status_code == 200, what="more patience")
    assert envoy in gateway.children()
