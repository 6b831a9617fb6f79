"""`headgate epp` behind an Envoy that is configured as Istio does for an InferencePool (`istio.py`)."""

import asyncio
import contextlib
import hashlib
import shutil
import signal
import ssl
import sys
from dataclasses import dataclass, field

import httpx
import pytest
import pytest_asyncio
import yaml
from cryptography import x509
from grpc import StatusCode, aio, ssl_channel_credentials
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.e2e.conftest import ACME, ROOT, events, free_port, refusing
from tests.e2e.istio import Shown, bootstrap
from tests.envoy import Envoy

pytestmark = pytest.mark.asyncio(loop_scope="module")

SELECT = "test-epp-endpoint-selection"
SERVICES = ("", "liveness", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor")
GUARD_S = 40
TRIES = 40
"""Of two that are as good one is picked by chance: never so often the same."""
UNTIL_LEFT = {"ttft_ms": 0, "itl_ms": 600_000}
"""An answer that begins at once and does not end."""


@dataclass
class Stand:
    """Two built-in engines, one that shows what it gets, one that is dead, a picker, and Envoy between them."""

    folder: object
    dead: str
    sims: list = field(default_factory=list)
    shown: str = ""
    ports: list = field(default_factory=lambda: [free_port() for _ in range(3)])
    flags: tuple = ("--conformance", "--objective", "batch=-1", "--in-flight", "1")
    picker: object = None
    pool: tuple = ()
    processes: list = field(default_factory=list)

    async def run(self, *argv):
        with (self.folder / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", *argv, cwd=ROOT, stdout=log, stderr=log
            )

    async def engine(self, endpoint):
        port = endpoint.rpartition(":")[2]
        return await self.run("engines.sim", "--port", port, "--model", "demo")

    async def pick(self):
        """Start the picker."""
        listen, health, metrics = (str(port) for port in self.ports)
        self.picker = await self.run(
            *("extproc.cli", "epp", "--state", str(self.folder / "s")),
            *(self.pool or ("--endpoints", ",".join(self.sims), "--engine", "sim")),
            *("--listen", f"127.0.0.1:{listen}", "--health-port", health),
            *("--metrics-port", metrics, *self.flags),
        )
        self.processes.append(self.picker)
        assert await until(lambda: connects(self.ports[0]))

    async def end(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes:
            await asyncio.wait_for(process.wait(), GUARD_S)


async def connects(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", int(port))
    except OSError:
        return False
    writer.close()
    return True


async def until(check):
    for _ in range(GUARD_S * 50):
        if await check():
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("e")


@contextlib.asynccontextmanager
async def standing(folder, *, tls=True, policy=None):
    """With a policy, all of the gateway serves one pool of it."""
    with refusing() as dead:
        stand = Stand(folder, dead)
        engine = await asyncio.start_server(Shown.serve, "127.0.0.1", 0)
        stand.shown = f"127.0.0.1:{engine.sockets[0].getsockname()[1]}"
        try:
            stand.sims = [f"127.0.0.1:{free_port()}" for _ in range(2)]
            for sim in stand.sims:
                stand.processes.append(await stand.engine(sim))
            if not tls:
                stand.flags += ("--plaintext",)
            if policy:
                pool = {"name": "local", "engine": "sim", "endpoints": stand.sims}
                (policy / "pool.yaml").write_text(yaml.safe_dump({"pools": [pool]}))
                stand.pool = ("--policy", str(policy), "--pool", "local", "--full")
            for sim in stand.sims:  # before anybody looks at them: who refuses once begins slowly
                assert await until(lambda sim=sim: connects(sim.rpartition(":")[2]))
            await stand.pick()
            config = folder / "envoy.yaml"
            everyone = [*stand.sims, stand.shown, stand.dead]
            picker = f"127.0.0.1:{stand.ports[0]}"
            config.write_text(bootstrap(everyone, picker, folder / "admin", tls=tls))
            async with Envoy(
                config, admin_socket=folder / "admin", log=folder / "envoy.log"
            ) as envoy:
                yield stand, envoy
        finally:
            engine.close()
            await stand.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parts(folder):
    async with standing(folder) as parts:
        yield parts


@pytest.fixture
def stand(parts):
    return parts[0]


@pytest_asyncio.fixture(loop_scope="module")
async def http(parts):
    async with httpx.AsyncClient(base_url=parts[1].url, timeout=GUARD_S) as http:
        yield http


def ask(**more):
    return {
        "model": "demo",
        "max_tokens": 3,
        "messages": [{"role": "user", "content": "hi"}],
        **more,
    }


CHAT = "/v1/chat/completions"


async def test_what_is_picked_is_what_serves_and_header_and_metadata_say_the_same(stand, http):
    served = set()
    for number in range(TRIES):
        thread = [{"role": "user", "content": f"thread {number} " * 40}]
        answer = await http.post(CHAT, json=ask(messages=thread))
        assert answer.status_code == 200, answer.text
        told = answer.headers
        first = told["x-test-metadata"].split(",")[0]
        assert told["x-test-header"] == told["x-test-metadata"]
        assert set(told["x-test-header"].split(",")) == set(stand.sims)
        assert told["x-test-upstream"] == told["x-test-served"] == first
        served.add(first)
        if len(served) == 2:
            break
    assert served == set(stand.sims)


async def test_a_thread_stays_where_its_beginning_is_cached(http):
    thread = [{"role": "user", "content": "Once upon a time " * 600}]
    answers = []
    for turn in range(4):
        thread.append({"role": "user", "content": f"turn {turn}"})
        answers.append(await http.post(CHAT, json=ask(messages=thread)))
    assert len({answer.headers["x-test-served"] for answer in answers}) == 1
    usage = answers[-1].json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] > 0


async def test_the_next_of_the_list_serves_when_the_first_is_dead(stand, http):
    subset, attempts = f"[{stand.dead};{stand.shown}]", set()
    for _ in range(TRIES):
        answer = await http.post("/x", json=ask(), headers={"x-test-subset": subset})
        assert (answer.status_code, answer.headers["x-test-served"]) == (200, stand.shown)
        attempts.add(answer.headers["x-test-attempts"])
        if "2" in attempts:
            break
    assert "2" in attempts


@pytest.mark.parametrize("form", ["[{0}]", "{0}", "{0} , {0}", "[{0};10.9.9.9:1]"])
async def test_a_subset_is_kept_to(stand, http, form):
    for sim in stand.sims:
        hint = {"x-test-subset": form.format(sim)}
        answer = await http.post(CHAT, json=ask(), headers=hint)
        assert answer.headers["x-test-upstream"] == sim


async def test_a_subset_may_name_addresses_without_ports(stand, http):
    answer = await http.post(CHAT, json=ask(), headers={"x-test-subset": "[127.0.0.1]"})
    assert set(answer.headers["x-test-header"].split(",")) == set(stand.sims)


@pytest.mark.parametrize("headers", [{"x-test-subset": "[10.1.2.3]"}, {SELECT: "10.1.2.3"}])
async def test_503_when_none_of_the_subset_can_serve(http, headers):
    answer = await http.post(CHAT, json=ask(), headers=headers)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == answer.headers["x-headgate-reason"] == "no_endpoint"
    assert int(answer.headers["retry-after"]) > 0


async def test_the_header_of_the_conformance_tests(stand, http):
    for sim in stand.sims:
        for _ in range(2):
            answer = await http.post(CHAT, json=ask(), headers={SELECT: f"10.1.2.3, {sim}"})
            assert answer.headers["x-test-header"] == sim
    both = {SELECT: stand.sims[0], "x-test-subset": stand.sims[1]}
    assert (await http.post(CHAT, json=ask(), headers=both)).status_code == 503


BATCH = {"x-gateway-inference-objective": "batch"}


async def has_room(http):
    """Ends of requests are heard of a moment after their answers."""
    return await until(lambda: is_served(http))


async def is_served(http):
    return (await http.post(CHAT, json=ask(), headers=BATCH)).status_code == 200


async def test_429_for_low_priority_when_every_engine_is_full(stand, http):
    assert await has_room(http)
    slow = ask(stream=True, max_tokens=2, x_sim=UNTIL_LEFT)
    async with contextlib.AsyncExitStack() as filling:
        for sim in stand.sims:
            begun = http.stream("POST", CHAT, json=slow, headers={SELECT: sim})
            assert (await filling.enter_async_context(begun)).status_code == 200
        answer = await http.post(CHAT, json=ask(), headers=BATCH)
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "engines_saturated"
        assert int(answer.headers["retry-after"]) > 0
        for other in ({}, {"x-gateway-inference-objective": "unheard-of"}):
            assert (await http.post(CHAT, json=ask(), headers=other)).status_code == 200
    assert await has_room(http)


@pytest.mark.parametrize("size", [1, 61_999, 62_000, 62_001, 1 << 20, 5 << 20, 15 << 20])
async def test_a_body_of_any_size_arrives_whole(stand, http, size):
    body = bytes(range(256)) * (size // 256) + b"\0" * (size % 256)
    hint = {"x-test-subset": stand.shown, "content-type": "application/octet-stream"}
    seen = (await http.post("/upload", content=body, headers=hint)).json()
    assert (seen["bytes"], seen["sha256"]) == (size, hashlib.sha256(body).hexdigest())


async def test_a_body_too_large_to_hold_is_refused(http):
    answer = await http.post("/upload", content=b"x" * (17 << 20))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/models?x=1", b""),
        ("DELETE", "/anything", b""),
        ("POST", "/v1/chat/completions", b""),
        ("POST", "/v1/chat/completions", b"{]"),
        ("POST", "/v1/chat/completions", b'{"model": 7}'),
        ("POST", "/v1/chat/completions", b'\xff{"model":'),
        ("POST", "/v1/audio/transcriptions", b"--x\r\n\r\n\0\1\2--x--"),
        ("PUT", "/", b"[" * 100_000),
    ],
)
async def test_whatever_it_is_it_is_routed_as_it_came(stand, http, method, path, body):
    headers = {"x-test-subset": stand.shown, "authorization": "Bearer engines-own-key"}
    answer = await http.request(method, path, content=body, headers=headers)
    seen = answer.json()
    assert answer.headers["x-test-served"] == stand.shown
    assert seen["first"] == f"{method} {path} HTTP/1.1"
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()
    assert seen["headers"]["authorization"] == "bearer engines-own-key"
    assert seen["headers"]["x-gateway-destination-endpoint"] == stand.shown


async def test_a_model_is_renamed_and_the_rest_of_the_body_is_not_touched(stand, http):
    headers = {"x-test-subset": stand.shown, "x-gateway-model-name-rewrite": "base-2"}
    body = b'{"model": "base", "temperature": 1.0e-0, "big": 123456789012345678901234567890}'
    seen = (await http.post("/v1/completions", content=body, headers=headers)).json()
    sent = '{"model":"base-2","temperature":1.0e-0,"big":123456789012345678901234567890}'
    assert seen["start"] == sent


async def test_streams_pass_event_by_event(http):
    quick, slow = (
        ask(stream=True, max_tokens=5, x_sim=pace) for pace in ({"itl_ms": 0}, UNTIL_LEFT)
    )
    whole = (await http.post(CHAT, json=quick)).text
    assert whole.endswith("data: [DONE]\n\n")
    assert len(events(whole)) >= 5
    async with http.stream("POST", CHAT, json=slow) as answer:
        text = answer.aiter_text()
        assert (await anext(text)).startswith("data: ")


async def test_trailers_pass_both_ways(parts, stand):
    """On a route without retries: where there are some, Envoy 1.40 sends a body with trailers twice,
    whatever the picker answers (docs/epp.md)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", parts[1].port)
    writer.write(
        b"POST /once/x HTTP/1.1\r\nhost: a\r\nx-test-subset: %b\r\ntransfer-encoding: chunked\r\n"
        b"trailer: x-last\r\nte: trailers\r\nconnection: close\r\n\r\n"
        b"3\r\nabc\r\n0\r\nx-last: yes\r\n\r\n" % stand.shown.encode()
    )
    async with asyncio.timeout(GUARD_S):
        answer = (await reader.read()).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 200")
    assert '"bytes": 3' in answer
    assert '"trailers": ["x-last: yes"]' in answer
    assert answer.endswith("0\r\nx-end: over\r\n\r\n")


async def test_a_client_that_leaves_is_not_counted_any_more(stand, http):
    slow = ask(stream=True, max_tokens=50, x_sim=UNTIL_LEFT)
    for sim in stand.sims:
        async with http.stream("POST", CHAT, json=slow, headers={SELECT: sim}) as answer:
            assert answer.headers["x-test-served"] == sim
    assert await has_room(http)


async def test_what_another_filter_refuses_before_us_stays_as_it_is(http):
    answer = await http.post(CHAT, json=ask(), headers={"x-test-refuse": "401"})
    assert (answer.status_code, answer.text) == (401, "refused before the picker")


async def test_health(stand):
    """On its own port without TLS, and on the other with it, for a client that knows the certificate."""
    plain, secure = stand.ports[1], stand.ports[0]
    certificate = ssl.get_server_certificate(("127.0.0.1", secure)).encode()
    name = x509.load_pem_x509_certificate(certificate).subject.rfc4514_string().removeprefix("CN=")
    credentials = ssl_channel_credentials(certificate)
    options = [("grpc.ssl_target_name_override", name)]
    for channel in (
        aio.insecure_channel(f"127.0.0.1:{plain}"),
        aio.secure_channel(f"127.0.0.1:{secure}", credentials, options),
    ):
        async with channel:
            health = HealthStub(channel)
            for service in SERVICES:
                answer = await health.Check(HealthCheckRequest(service=service))
                assert answer.status == HealthCheckResponse.SERVING, service
            with pytest.raises(aio.AioRpcError) as refused:
                await health.Check(HealthCheckRequest(service="other"))
            assert refused.value.code() is StatusCode.NOT_FOUND


async def test_metrics(stand, http):
    await http.post(CHAT, json=ask())
    text = (await http.get(f"http://127.0.0.1:{stand.ports[2]}/metrics")).text
    (line,) = [
        line
        for line in text.splitlines()
        if line.startswith("headgate_decision_seconds_count") and '"forward"' in line
    ]
    assert float(line.rpartition(" ")[2]) > 0


async def test_nothing_was_spurious(parts):
    stats = await parts[1].stats("ext_proc.(spurious|streams_failed|rejected)")
    assert stats
    assert not any(stats.values()), stats


async def test_an_engine_that_dies_is_tried_no_more(stand, http):
    lost, left = stand.sims
    stand.processes[0].kill()
    await stand.processes[0].wait()
    for number in range(4):
        answer = await http.post(
            CHAT, json=ask(messages=[{"role": "user", "content": f"{number}"}])
        )
        assert (answer.status_code, answer.headers["x-test-served"]) == (200, left)

    async def is_out():
        return (await http.post(CHAT, json=ask())).headers["x-test-header"] == left

    assert await until(is_out)
    assert (await http.post(CHAT, json=ask(), headers={SELECT: lost})).status_code == 503
    stand.processes[0] = await stand.engine(lost)

    async def is_back():
        answer = await http.post(CHAT, json=ask(), headers={SELECT: lost})
        return answer.headers.get("x-test-served") == lost

    assert await until(is_back)


async def test_restarted_while_serving(stand, http):
    """Last in this file: what was open is cut by a kill, and finished by an orderly end."""
    slow = ask(stream=True, max_tokens=4, x_sim=UNTIL_LEFT)
    async with http.stream("POST", CHAT, json=slow) as cut:
        stand.picker.send_signal(signal.SIGKILL)
        await stand.picker.wait()
        with pytest.raises(httpx.RemoteProtocolError):
            await cut.aread()
    assert (await http.post(CHAT, json=ask())).status_code >= 500
    assert (await http.get("/open/v1/models")).status_code == 200

    await stand.pick()

    async def serves():
        return (await http.post(CHAT, json=ask())).status_code == 200

    assert await until(serves)
    slow = ask(stream=True, max_tokens=4, x_sim={"ttft_ms": 0, "itl_ms": 200})
    async with http.stream("POST", CHAT, json=slow) as whole:
        stand.picker.terminate()
        assert (await whole.aread()).endswith(b"data: [DONE]\n\n")
    assert await asyncio.wait_for(stand.picker.wait(), GUARD_S) == 0


POLICY = {
    "models": [
        {"name": "demo", "pool": "local", "fallback": ["other"]},
        {"name": "other", "pool": "elsewhere"},
    ],
    "limits": [{"name": "tpm", "per": "tenant", "tokens": 150, "every": "hour"}],
}


async def test_all_of_the_gateway_behind_somebody_elses(tmp_path):
    """Without TLS, for a change."""
    policy = tmp_path / "policy"
    shutil.copytree(ROOT / "extproc" / "policy" / "demo", policy)
    (policy / "more.yaml").write_text(yaml.safe_dump(POLICY))
    elsewhere = {"pools": [{"name": "elsewhere", "endpoints": ["10.0.0.1:80"]}]}
    (policy / "elsewhere.yaml").write_text(yaml.safe_dump(elsewhere))
    async with (
        standing(tmp_path, tls=False, policy=policy) as (stand, envoy),
        httpx.AsyncClient(base_url=envoy.url, timeout=GUARD_S) as http,
    ):
        assert (await http.post(CHAT, json=ask())).status_code == 401
        http.headers["authorization"] = f"Bearer {ACME}"
        models = (await http.get("/v1/models")).json()["data"]
        assert [model["id"] for model in models] == ["demo"]
        assert (await http.post(CHAT, json=ask(model="other"))).status_code == 404
        assert (await http.get("/v1/usage")).status_code == 404

        answer = await http.post(CHAT, json=ask())
        assert answer.headers["x-test-served"] in stand.sims
        stream = await http.post(CHAT, json=ask(stream=True))
        assert stream.text.endswith("data: [DONE]\n\n")
        assert "usage" not in stream.text

        hint = {"x-test-subset": stand.shown}
        seen = (await http.post(CHAT, json=ask(), headers=hint)).json()
        assert "authorization" not in seen["headers"]

        # What was used is known from the answers: reserved is much more than these take.
        answers = [await http.post(CHAT, json=ask(max_tokens=40)) for _ in range(5)]
        assert [answer.status_code for answer in answers[:2]] == [200, 200]
        assert answers[-1].status_code == 429
        assert answers[-1].headers["x-headgate-reason"] == "rate_limit_exceeded"
