"""Other models and services elsewhere, when the engines that were asked for cannot: through the whole gateway."""

import asyncio
import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

import httpx
import pytest
import yaml

from extproc.cli.preflight import free_port
from tests.certificates import Authority
from tests.e2e.conftest import ACME, GLOBEX, events, refusing, running, wait_for
from tests.e2e.limits import DEMO, PATIENT
from tests.http_server import Server

KEY = "sk-provider-0123456789"
CHAT = "/v1/chat/completions"
NOON = f"Etc/GMT{time.gmtime().tm_hour - 12:+d}"
"""A time zone where it is about noon now: no day ends while tests run."""
BUDGET = {"name": "money", "per": "tenant", "usd": 100, "every": "day", "zone": NOON}


class Provider(threading.Thread):
    """The built-in engine behind TLS, somewhere else. Keeps what it is sent."""

    def __init__(self, engine_port, tls):
        super().__init__(daemon=True)
        self.engine_port, self.tls = engine_port, tls
        self.seen, self.loop = b"", asyncio.new_event_loop()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def run(self):
        with contextlib.suppress(asyncio.CancelledError):
            self.loop.run_until_complete(self.serve())
        self.loop.close()

    async def serve(self):
        self.task = asyncio.current_task()
        server = await asyncio.start_server(self.pass_on, sock=self.socket, ssl=self.tls)
        async with server:
            await server.serve_forever()

    async def pass_on(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.engine_port)

        async def pump(source, sink, keep):
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                while piece := await source.read(65536):
                    self.seen += piece if keep else b""
                    sink.write(piece)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, far_writer, True), pump(far_reader, writer, False))

    def stop(self):
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.join()


@contextlib.contextmanager
def engine(model, *flags):
    """A built-in engine; its port."""
    port = free_port()
    command = [sys.executable, "-m", "engines.sim", "--port", str(port), "--model", model, *flags]
    process = subprocess.Popen(command)

    def answers():
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
        return False

    try:
        wait_for(answers, what=model)
        yield port
    finally:
        process.terminate()
        process.wait()


class Guess(BaseHTTPRequestHandler):
    """An engine that is sure of what it is asked loudly."""

    def do_GET(self):
        self.send(b"{}")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        logprob = -0.01 if asked["messages"][-1]["content"].isupper() else -2.0
        choice = {
            "index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "so"},
            "logprobs": {"content": [{"token": "so", "logprob": logprob, "top_logprobs": []}]},
        }  # fmt: skip
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        found = {"id": "g", "object": "chat.completion", "created": 0, "model": "guess"}
        self.send(json.dumps(found | {"choices": [choice], "usage": usage}).encode())

    def send(self, body):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def guessing():
    """An engine that says how sure it is; its port."""
    with Server(("127.0.0.1", 0), Guess) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


def price(dollars):
    return {"input_usd": dollars, "output_usd": 2 * dollars}


def sections(busy, gone, small, guess, slow, provider, ca_file):  # noqa: PLR0917 - ports
    calm = {"errors": None}  # else its breaker would open while tests count attempts
    where = {"url": f"https://localhost:{provider}/v1", "key": {"env": "PROVIDER_KEY"},
             "ca_file": str(ca_file)}  # fmt: skip
    return {
        "pools": [
            {"name": "busy", "engine": "sim", "endpoints": [f"127.0.0.1:{busy}"], "health": calm},
            {"name": "gone", "engine": "sim", "endpoints": [gone]},
            {"name": "small", "engine": "sim", "endpoints": [f"127.0.0.1:{small}"]},
            {"name": "provider", "upstream": where},
            {"name": "claude", "upstream": where | {"dialect": "anthropic"}},
            {"name": "guess", "engine": "ollama", "endpoints": [f"127.0.0.1:{guess}"]},
            {"name": "slow", "engine": "sim", "endpoints": [f"127.0.0.1:{port}" for port in slow]},
        ],
        "models": [
            {"name": "big", "pool": "busy", "served_as": "busy", "price": price(100), "fallback": ["small"]},
            {"name": "lost", "pool": "gone", "price": price(100), "fallback": ["small"]},
            {"name": "far", "pool": "busy", "served_as": "busy", "price": price(100), "fallback": ["gpt"]},
            {"name": "alone", "pool": "busy", "served_as": "busy"},
            {"name": "picky", "pool": "busy", "served_as": "busy", "fallback": ["strict", "gpt"]},
            {"name": "strict", "pool": "small", "served_as": "little",
             "parameters": [{"forbid": ["seed"]}]},
            {"name": "small", "pool": "small", "served_as": "little", "price": price(1)},
            {"name": "gpt", "pool": "provider", "served_as": "gpt-x", "price": price(10)},
            {"name": "posh", "pool": "small", "served_as": "little", "price": price(90),
             "downgrade": [{"to": "small", "when": "budget", "at": 1e-9}]},
            {"name": "claude", "pool": "claude", "served_as": "gpt-x", "price": price(5)},
            {"name": "quick", "pool": "guess", "price": price(1)},
            {"name": "wise", "pool": "small", "served_as": "little", "price": price(50),
             "cascade": {"first": "quick", "min_confidence": 0.8}},
            {"name": "slow", "pool": "slow", "hedge": {"after_s": 0.05, "max_share": 0.1}},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("tls"))
    with engine("gpt-x") as port:
        running = Provider(port, authority.server("localhost"))
        running.ca_file = authority.ca_file
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="module")
def own(tmp_path_factory, provider):
    directory = tmp_path_factory.mktemp("failover")
    with (
        engine("busy", "--fail-rate", "1") as busy,
        engine("little") as small,
        engine("slow", "--ttft-ms", "300") as one,
        engine("slow", "--ttft-ms", "300") as two,
        guessing() as guess,
        refusing() as gone,
    ):
        slow = one, two
        policy = sections(busy, gone, small, guess, slow, provider.port, provider.ca_file)
        env = {"PROVIDER_KEY": KEY, **PATIENT}
        written = directory / "policy"
        written.mkdir()
        demo = (DEMO / "tenants.yaml").read_text()
        willing = demo.replace("- name: acme", "- name: acme\n    accepts_downgrade: true")
        (written / "tenants.yaml").write_text(willing)
        (written / "rest.yaml").write_text(yaml.safe_dump({"limits": [BUDGET], **policy}))
        with running(directory / "s", "--policy", str(written), env=env) as gateway:
            yield gateway


def ask(own, model, *, key=ACME, **more):
    body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]}
    with own.http(key) as client:
        return client.post(CHAT, json=body | more)


def cli(own, *arguments):
    command = [sys.executable, "-m", "extproc.cli", *arguments]
    env = {**os.environ, "PROVIDER_KEY": KEY}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return done.stdout


def used_usd(own, tenant):
    shown = json.loads(cli(own, "limits", "show", "--json", "--state", str(own.state)))
    return sum(float(each["used"]) for each in shown if each["scope"] == tenant)


def row_of(own, answer):
    """The one row of this request, as far as these tests want to know it."""
    row = own.row(answer.headers["x-request-id"])
    return [row[name] for name in ("model", "pool", "price", "attempts", "status", "cut")]


def test_a_provider_is_asked_with_its_key_and_told_nothing_else(own, provider):
    provider.seen = b""
    answer = ask(own, "gpt", user="somebody")
    assert answer.status_code == 200
    assert row_of(own, answer) == ["gpt", "provider", "10/10/20", 1, 200, 0]
    head, _, body = provider.seen.decode().partition("\r\n\r\n")
    line, *headers = head.split("\r\n")
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert f"authorization: Bearer {KEY}" in headers
    assert not [h for h in headers if h.startswith(("x-headgate", "x-forwarded", "x-gateway"))]
    assert ACME not in provider.seen.decode()
    assert json.loads(body)["model"] == "gpt-x"
    assert "cache_salt" not in json.loads(body)


def test_the_other_dialect_has_a_key_header_and_a_version(own, provider):
    provider.seen = b""
    asked = {"model": "claude", "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]}
    with own.http() as client:
        answer = client.post("/v1/messages?beta=true", json=asked)
        refused = client.post(CHAT, json=asked)
    assert answer.status_code == 200
    assert row_of(own, answer) == ["claude", "claude", "5/5/10", 1, 200, 0]
    usage = answer.json()["usage"]
    assert own.row(answer.headers["x-request-id"])["completion_tokens"] == usage["output_tokens"]
    head = provider.seen.decode().partition("\r\n\r\n")[0].split("\r\n")
    assert head[0] == "POST /v1/messages HTTP/1.1"
    assert f"x-api-key: {KEY}" in head
    assert "anthropic-version: 2023-06-01" in head
    assert not [line for line in head if line.startswith("authorization")]
    assert refused.json()["error"]["code"] == "unsupported_operation"


def test_engines_that_fail_are_stood_in_for_and_billed_once_at_that_price(own):
    before = used_usd(own, "globex")
    answer = ask(own, "big", key=GLOBEX)
    assert answer.status_code == 200
    assert answer.headers["x-headgate-model"] == "small"
    assert answer.headers["x-headgate-fallback"] == "from=big; reason=failed"
    assert answer.json()["model"] == "little"
    assert row_of(own, answer) == ["small", "small", "1/1/2", 2, 200, 0]
    usage = answer.json()["usage"]
    cost_usd = (usage["prompt_tokens"] + 2 * usage["completion_tokens"]) / 1e6
    wait_for(lambda: used_usd(own, "globex") == pytest.approx(before + cost_usd), what="the budget")


def test_engines_that_are_gone_are_not_even_tried(own):
    def passed_over():
        """As soon as somebody has looked at them."""
        answer = ask(own, "lost")
        said = answer.headers["x-headgate-fallback"]
        return answer if said == "from=lost; reason=unavailable" else None

    answer = wait_for(passed_over, what="a look at those that are gone")
    assert answer.headers["x-headgate-model"] == "small"
    assert row_of(own, answer) == ["small", "small", "1/1/2", 1, 200, 0]


def test_a_stream_goes_on_elsewhere_and_looks_as_it_was_asked_for(own, provider):
    provider.seen = b""
    answer = ask(own, "far", stream=True)
    assert answer.headers["x-headgate-model"] == "gpt"
    found = events(answer.text)
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in found if e["choices"])
    assert not [event for event in found if event.get("usage")]
    assert row_of(own, answer) == ["gpt", "provider", "10/10/20", 2, 200, 0]
    assert own.row(answer.headers["x-request-id"])["completion_tokens"] == 4
    sent = json.loads(provider.seen.partition(b"\r\n\r\n")[2])
    assert sent["stream_options"] == {"include_usage": True}
    assert "cache_salt" not in sent


def test_without_others_the_failure_is_shown(own):
    answer = ask(own, "alone")
    assert answer.status_code == 503
    assert "x-headgate-fallback" not in answer.headers


def test_a_model_that_forbids_what_was_asked_for_does_not_stand_in(own):
    assert ask(own, "picky").headers["x-headgate-model"] == "strict"
    assert ask(own, "picky", seed=7).headers["x-headgate-model"] == "gpt"


def pair(own, answer):
    """The rows of a cascade, oldest first: what the client asked for, and what was asked for it."""
    trace = own.row(answer.headers["x-request-id"])["trace_id"]

    def both():
        found = own.rows("trace_id = ? order by start_ms, attempts", trace)
        return found if len(found) == 2 else None

    rows = wait_for(both, what="both rows")
    return {row["model"]: [row["completion_tokens"], row["completion_pusd"]] for row in rows}


def say(text):
    return {"messages": [{"role": "user", "content": text}]}


def test_less_for_less_money_for_those_who_agreed(own):
    for key in (ACME, GLOBEX):  # from here on, both have used something of their budgets
        ask(own, "small", key=key)
    wait_for(lambda: used_usd(own, "acme") and used_usd(own, "globex"), what="the budgets")
    answer = ask(own, "posh")
    assert answer.headers["x-headgate-fallback"] == "from=posh; reason=budget"
    assert row_of(own, answer) == ["small", "small", "1/1/2", 1, 200, 0]
    other = ask(own, "posh", key=GLOBEX)
    assert "x-headgate-fallback" not in other.headers
    assert row_of(own, other)[0] == "posh"


def test_a_small_model_that_is_sure_answers_for_the_large_one(own):
    answer = ask(own, "wise", **say("SO?"))
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "so"
    assert answer.headers["x-headgate-model"] == "quick"
    assert answer.headers["x-headgate-cascade"] == "kept; confidence=0.990"
    assert pair(own, answer) == {"wise": [0, 0], "quick": [1, 2_000_000]}


def test_one_that_is_not_hands_it_on_and_each_is_billed_once(own):
    answer = ask(own, "wise", **say("so?"))
    assert answer.status_code == 200
    assert answer.json()["model"] == "little"
    assert answer.headers["x-headgate-model"] == "wise"
    assert answer.headers["x-headgate-cascade"] == "escalated; confidence=0.135"
    assert pair(own, answer) == {"wise": [4, 400_000_000], "quick": [1, 2_000_000]}

    def are_counted():
        said = own.metrics()
        return all(
            f'cascade_total{{model="wise",result="{r}"}} 1' in said for r in ("kept", "escalated")
        )

    wait_for(are_counted, what="the metrics")


def test_a_share_is_asked_twice_by_all_workers_together(own):
    """All of them are slow; Envoy tells the ends of one of its threads to one worker."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(own, "slow"), range(40)))
    assert {each.status_code for each in answers} == {200}
    rows = [own.row(each.headers["x-request-id"]) for each in answers]
    # Four and what was under way before anybody had heard of an end.
    assert 1 <= sum(row["attempts"] == 2 for row in rows) <= 28


def test_stand_ins_are_counted(own):
    wait_for(lambda: 'served_by="small"' in own.metrics(), what="the metrics")


def read(path):
    """A file may be replaced, and its draft be gone, while all are read."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


def test_the_key_is_where_it_belongs_and_nowhere_else(own):
    files = [path for path in own.state.rglob("*") if path.is_file()]
    found = [path.relative_to(own.state) for path in files if KEY.encode() in read(path)]
    assert {str(path.parent) for path in found} == {"envoy/secrets"}
    assert sorted(path.name.split("-")[0] for path in found) == ["claude", "provider"]
    assert {(own.state / path).stat().st_mode & 0o777 for path in found} == {0o600}
    shown = cli(own, "policy", "show", str(own.state.parent / "policy"))
    assert "PROVIDER_KEY" in shown
    assert KEY not in shown
