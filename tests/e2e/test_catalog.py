"""Tracks, rights and rules, as clients meet them: through real Envoy, with an engine that says what it got."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from string import Template

import pytest
import yaml

from extproc.identity.keys import digest
from extproc.policy.load import load
from tests.e2e.conftest import running, wait_for
from tests.http_server import Server

POLICY = Path(__file__).with_name("catalog.yaml")
CHAT = "/v1/chat/completions"
SALT = "salt-of-the-catalog"
SYSTEM = "You answer politely."
USERS = 24


class Served(BaseHTTPRequestHandler):
    """Answers POSTs by `answer`, GETs (health probes) by 200."""

    protocol_version = "HTTP/1.1"
    answer = staticmethod(lambda _body, _headers: (200, b"{}"))

    def do_GET(self):
        self.say(200, b"{}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.say(*self.answer(json.loads(body), dict(self.headers)))

    def say(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(answer):
    """Serve on a free port of its own; yield `ip:port`."""
    kind = type("Kind", (Served,), {"answer": staticmethod(answer)})
    server = Server(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def echo(body, headers):
    """An engine that tells what reached it, as members of its answer."""
    said = {
        "id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "yes"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
        "got": body, "got_headers": {name.lower(): value for name, value in headers.items()},
    }  # fmt: skip
    return 200, json.dumps(said).encode()


class Authority:
    """OPA's API, with a ruling that a test chooses."""

    def __init__(self):
        self.answer = (200, b'{"result":true}')
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, body, _headers):
        self.asked.append(body["input"])
        self.gate.wait(10)
        return self.answer


def key(name, **members):
    return {"id": name, "digest": digest(SALT, f"sk-{name}"), "tenant": "acme", **members}


def write_policy(directory, engine, authority, on_fault="deny", most=20):
    """The policy of these tests; `most` and `on_fault` are what reloads change."""
    put_in = {
        "salt": SALT,
        "system": SYSTEM,
        "engine": engine,
        "authority": authority,
        "on_fault": on_fault,
        "most": most,
    }
    policy = yaml.safe_load(Template(POLICY.read_text()).substitute(put_in))
    policy["keys"] = [
        key("plain"),
        key("staff", groups=["staff"]),
        key("embedder", groups=["embedders"]),
        key("asked", groups=["asked"]),
        *(key(f"user-{n}", user=f"user-{n}") for n in range(USERS)),
    ]
    draft = directory / ".draft"
    draft.write_text(yaml.safe_dump(policy))
    draft.rename(directory / "policy.yaml")


class World:
    """A gateway, the engine behind it and the authority beside it."""

    def __init__(self, directory, engine, authority, address):
        self.directory, self.engine = directory, engine
        self.authority, self.address = authority, address
        self.gateway = None

    def reload(self, **changes):
        """Write another policy and wait until both workers serve it."""
        write_policy(self.directory, self.engine, self.address, **changes)
        served = f'policy="{load([self.directory]).version}"}} 2'
        wait_for(lambda: served in self.gateway.metrics(), what="the new policy")

    def post(self, model, key="plain", path=CHAT, headers=None, **members):
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **members}
        if path.endswith(("embeddings", "responses")):
            body = {"model": model, "input": "hi", **members}
        if path.endswith("/completions") and path != CHAT:
            body = {"model": model, "prompt": "hi", **members}
        with self.gateway.http(f"sk-{key}") as http:
            return http.post(path, json=body, headers=headers or {})

    def got(self, *arguments, **members):
        """What the engine got."""
        answer = self.post(*arguments, **members)
        assert answer.status_code == 200, answer.text
        return answer.json()["got"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("catalog")
    authority = Authority()
    with serving(echo) as engine, serving(authority) as address:
        shared = World(directory, engine, authority, address)
        write_policy(directory, engine, address)
        state = tmp_path_factory.mktemp("state") / "s"
        with running(state, "--policy", str(directory)) as shared.gateway:
            yield shared


def refused(answer, status, code, param=None):
    """See that it is a refusal in OpenAI's shape; return its message."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert set(error) == {"message", "type", "param", "code"}
    return error["message"]


def strategy(name):
    return {"x-routing-strategy": name}


@pytest.mark.parametrize(
    ("track", "version", "served_as", "pool"),
    [("stable", "v1", "org/one", "a"), ("canary", "v2", "org/two", "b")],
)
def test_a_track_by_its_header(world, track, version, served_as, pool):
    answer = world.post("gpt-x", headers=strategy(track))
    assert answer.headers["x-headgate-model"] == "tracked", "the public name, not the alias"
    assert answer.headers["x-headgate-track"] == track
    assert answer.headers["x-headgate-version"] == version
    assert answer.json()["got"]["model"] == served_as
    upstream = answer.json()["got_headers"]
    assert (upstream["x-headgate-model"], upstream["x-headgate-track"]) == ("tracked", track)
    row = world.gateway.row(answer.headers["x-request-id"])
    named = (row["model"], row["pool"], row["policy"])
    assert named == ("tracked", pool, load([world.directory]).version)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (3, 1)


def test_users_are_shared_out_and_stay(world):
    served = {}
    for _ in range(2):
        for number in range(USERS):
            headers = strategy("ab_test") if number % 2 else {}
            answer = world.post("tracked", f"user-{number}", headers=headers)
            served.setdefault(number, set()).add(answer.headers["x-headgate-track"])
    assert all(len(tracks) == 1 for tracks in served.values()), "sticky"
    canaries = sum(tracks == {"canary"} for tracks in served.values())
    assert USERS / 6 < canaries < USERS * 5 / 6


def test_a_dark_launch_is_for_those_who_ask(world):
    tracks = {world.post("dark", f"user-{n}").headers["x-headgate-track"] for n in range(USERS)}
    assert tracks == {"stable"}
    found = world.post("dark", headers=strategy("canary"))
    assert found.headers["x-headgate-track"] == "canary"


@pytest.mark.parametrize("name", ["beta", "", "Stable", "stable,canary"])
def test_no_strategy(world, name):
    answer = world.post("tracked", headers=strategy(name))
    refused(answer, 400, "invalid_request", "x-routing-strategy")
    assert "x-headgate-track" not in answer.headers


def test_no_such_track(world):
    answer = world.post("plain", headers=strategy("canary"))
    refused(answer, 404, "track_not_available", "x-routing-strategy")
    row = world.gateway.row(answer.headers["x-request-id"])
    assert (row["status"], row["deny_reason"]) == (404, "track_not_available")


def test_a_client_cannot_choose_for_us(world):
    forged = {"x-headgate-track": "canary", "x-headgate-model": "secret", "x-headgate-pool": "b"}
    answer = world.post("plain", headers=forged)
    upstream = answer.json()["got_headers"]
    assert (upstream["x-headgate-model"], upstream["x-headgate-track"]) == ("plain", "stable")
    assert answer.headers["x-headgate-track"] == "stable"


def test_rules_as_the_engine_sees_them(world):
    got = world.got("ruled", max_tokens=400, top_p=0.5)
    assert len(got.pop("cache_salt")) == 64
    assert got == {
        "model": "ruled",
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": "hi"},
        ],
        "max_tokens": 20,
        "top_p": 0.5,
        "temperature": 0.3,
    }
    assert "top_k" not in got
    assert world.got("ruled", "staff", top_k=None)["top_k"] == 7
    assert world.got("ruled", max_completion_tokens=400)["max_completion_tokens"] == 20
    assert world.got("ruled")["max_tokens"] == 20
    assert "max_tokens" not in world.got("plain")


def test_rules_in_every_dialect(world):
    got = world.got("ruled", path="/v1/messages", max_tokens=400, system="Be brief.")
    assert (got["system"], got["max_tokens"]) == (f"{SYSTEM}\n\nBe brief.", 20)
    got = world.got("ruled", path="/v1/responses")
    assert (got["instructions"], got["max_output_tokens"]) == (SYSTEM, 20)
    got = world.got("ruled", path="/v1/completions", key="embedder", max_tokens=400)
    assert (got["prompt"], got["max_tokens"]) == ("hi", 20)
    answer = world.post("ruled", path="/v1/messages", max_tokens=4, logprobs=True)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "'logprobs'" in answer.json()["error"]["message"]


def test_a_system_prompt_is_merged_into_the_clients_own(world):
    own = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    first = world.got("ruled", messages=own)["messages"][0]
    assert first == {"role": "system", "content": f"{SYSTEM}\n\nBe brief."}


@pytest.mark.parametrize(
    ("members", "code", "param"),
    [
        ({"logprobs": True}, "unsupported_parameter", "logprobs"),
        (
            {"messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]},
            "unsupported_modality", "messages[0].content[0]",
        ),
        ({"messages": [{"role": "user", "content": "x"}] * 1000},
         "context_length_exceeded", "messages"),
    ],
)  # fmt: skip
def test_what_does_not_fit(world, members, code, param):
    message = refused(world.post("ruled", **members), 400, code, param)
    assert message


def test_what_the_engine_does_not_have(world):
    message = refused(
        world.post("older", path="/v1/embeddings"), 400, "unsupported_operation", "model"
    )
    assert message == "The model 'older' does not serve embeddings."
    assert "cache_salt" not in world.got("older"), "it knows none"


def test_what_nobody_has(world):
    assert "'none'" in refused(world.post("none"), 404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("plain", CHAT, 403),
        ("staff", CHAT, 200),
        ("staff", "/v1/embeddings", 200),
        ("embedder", "/v1/embeddings", 200),
        ("embedder", CHAT, 403),
    ],
)
def test_models_of_groups(world, name, path, status):
    answer = world.post("secret", name, path)
    assert answer.status_code == status
    if status == 403:
        refused(answer, 403, "model_forbidden", "model")


@pytest.mark.parametrize(("name", "sees"), [("plain", False), ("staff", True), ("embedder", True)])
def test_the_list_is_what_may_be_used(world, name, sees):
    with world.gateway.http(f"sk-{name}") as http:
        listed = {card["id"] for card in http.get("/v1/models").json()["data"]}
        one = http.get("/v1/models/secret")
    assert listed == {"tracked", "plain", "dark", "ruled", "older"} | (
        {"secret"} if sees else set()
    )
    assert one.status_code == (200 if sees else 403)


def test_conditions(world):
    message = refused(world.post("frozen"), 403, "access_denied")
    assert message == "Under maintenance. (rule: frozen)"
    refused(world.post("plain", stream=True, max_tokens=501), 403, "access_denied")
    assert world.post("plain", max_tokens=501).status_code == 200
    embeddings = "/v1/embeddings"
    assert world.post("tracked", path=embeddings, headers=strategy("stable")).status_code == 200
    answer = world.post("tracked", path=embeddings, headers=strategy("canary"))
    refused(answer, 403, "access_denied")
    row = world.gateway.row(answer.headers["x-request-id"])
    assert (row["deny_reason"], row["model"]) == ("access_denied", "tracked")


def test_a_condition_without_a_value_refuses(world):
    refused(world.post("plain", path="/v1/completions"), 500, "internal_error")
    assert world.post("plain", "staff", path="/v1/completions").status_code == 403
    assert world.post("plain", "embedder", path="/v1/completions").status_code == 200
    logged = "".join(path.read_text() for path in world.gateway.state.glob("log/worker-*.log"))
    assert "rule 'odd'" in logged


def test_the_authority_decides(world):
    authority = world.authority
    try:
        authority.asked.clear()
        assert world.post("gpt-x", "asked", headers=strategy("canary")).status_code == 200
        (asked,) = authority.asked
        assert asked["identity"]["groups"] == ["asked"]
        assert asked["request"]["model"] == "tracked"
        assert asked["request"]["track"] == "canary"
        assert asked["request"]["client_ip"] == "127.0.0.1"
        authority.answer = (200, b'{"result":{"allow":false,"reason":"over quota"}}')
        assert refused(world.post("plain"), 403, "access_denied") == "over quota"
        authority.answer = (200, b"{}")
        refused(world.post("plain"), 403, "access_denied")
        for nonsense in (b"<html>", b'{"result":1}', b"x" * 100_000):
            authority.answer = (200, nonsense)
            refused(world.post("plain"), 500, "internal_error")
        authority.answer = (503, b'{"result":true}')
        refused(world.post("plain"), 500, "internal_error")
        world.reload(on_fault="continue")
        assert world.post("plain").status_code == 200
        authority.answer = (200, b'{"result":false}')
        refused(world.post("plain"), 403, "access_denied")
    finally:
        authority.answer = (200, b'{"result":true}')
        world.reload()


def test_a_rule_changes_for_new_requests_only(world):
    """A request that waits for its ruling while the policy changes keeps the version it began with."""
    authority, before = world.authority, load([world.directory]).version

    def waited():
        """Its answer; nothing if the change took longer than a ruling may, which is refused then."""
        slow = []
        authority.asked.clear()
        authority.gate.clear()
        thread = threading.Thread(target=lambda: slow.append(world.post("ruled", max_tokens=400)))
        thread.start()
        try:
            wait_for(lambda: authority.asked)
            world.reload(most=30)
            authority.gate.set()
            thread.join()
            assert world.got("ruled", max_tokens=400)["max_tokens"] == 30
        finally:
            authority.gate.set()
            world.reload()
        if slow[0].status_code == 200:
            return slow[0]
        refused(slow[0], 500, "internal_error")
        return None

    answer = wait_for(waited, what="a change within a ruling's time")
    assert answer.json()["got"]["max_tokens"] == 20
    assert world.gateway.row(answer.headers["x-request-id"])["policy"] == before


def test_the_built_in_engine_stops_where_the_rule_says(tmp_path):
    """With the engines that `up` starts: rules for models of the operator's own, on their pool."""
    policy = {
        "salt": SALT,
        "tenants": [{"name": "acme"}],
        "keys": [key("plain")],
        "models": [
            {"name": "short", "pool": "local", "served_as": "demo", "parameters": [
                {"clamp": {"max_tokens": {"max": 7}}, "system_prompt": SYSTEM * 40},
            ]},
        ],
    }  # fmt: skip
    directory = tmp_path / "policy"
    directory.mkdir()
    (directory / "a.yaml").write_text(yaml.safe_dump(policy))
    with running(tmp_path / "s", "--policy", str(directory)) as gateway:
        client = gateway.client("sk-plain")
        ask = client.chat.completions.create
        long = {"max_tokens": 50, "messages": [{"role": "user", "content": "one"}]}
        plain = ask(model="demo", **long).usage
        first = ask(model="short", **long)
        assert first.choices[0].finish_reason == "length"
        assert first.usage.completion_tokens == 7 < plain.completion_tokens
        assert first.usage.prompt_tokens > plain.prompt_tokens + 40
        found = []
        for word in ("two", "three"):  # of three answers one engine of two has made two
            messages = [{"role": "user", "content": word}]
            again = ask(model="short", messages=messages).usage
            assert again.completion_tokens <= 7
            found.append(again.prompt_tokens_details.cached_tokens)
        assert any(found), "its beginning is always the same"
