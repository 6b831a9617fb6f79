"""One engine computes the prompt, another one the answer: through real Envoy, with built-in engines of both
roles that write down what they are sent."""

import contextlib
import itertools
import json
import shutil
import subprocess
import sys

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from extproc.cli.commands import COMMANDS, build
from tests.e2e.conftest import ROOT, free_port, running, wait_for
from tests.e2e.limits import CHAT, DEMO, ask
from tests.e2e.recording import recording

HEADER = "x-prefiller-host-port"
EXPLAIN = {"x-headgate-explain": "true"}
LONG = "why is it sent around, and who is asked to do it? " * 60


class Engine:
    """A built-in engine of one role, and what it was sent."""

    def __init__(self, role, directory):
        self.role, self.endpoint, self._directory = role, f"127.0.0.1:{free_port()}", directory
        directory.mkdir()
        port = self.endpoint.rpartition(":")[2]
        words = f"--port {port} --model demo --role {role} --ttft-ms 0 --itl-ms 0".split()
        command = [sys.executable, "-m", "engines.sim", *words, "--record", str(directory)]
        self.process = subprocess.Popen(command, cwd=ROOT)

    def answers(self):
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://{self.endpoint}/health").status_code == 200
        return False

    def sent(self):
        lines = [
            line for path in self._directory.iterdir() for line in path.read_text().splitlines()
        ]
        return [json.loads(line) for line in lines]

    def end(self):
        self.process.terminate()
        self.process.wait(15)


class Apart:
    def __init__(self, gateway, engines, other):
        self.gateway, self.engines, self.other = gateway, engines, other

    def of(self, role):
        return {each.endpoint: each for each in self.engines if each.role == role}

    def post(self, text, headers=(), **more):
        with self.gateway.http() as http:
            answer = http.post(CHAT, json=ask(text) | more, headers=dict(headers))
        assert answer.status_code == 200, answer.text
        return answer

    def fail(self, engines, share):
        """Let so many of their requests be refused."""
        for each in engines:
            faults = {"error_rate": share, "error_status": 503}
            httpx.post(f"http://{each.endpoint}/x_sim/faults", json=faults).raise_for_status()

    def witness(self, text):
        """(engine, headers) of whoever was sent this text, in any order."""
        sent = [(each, one) for each in self.engines for one in each.sent()]
        return [(each, one["headers"]) for each, one in sent if text in one["body"]]


def cli(gateway, *words):
    """What a command says; None when it fails."""
    arguments = [*words, "--state", str(gateway.state)]
    done = CliRunner().invoke(build(COMMANDS), arguments, env={"COLUMNS": "120"})
    return None if done.exit_code else done.output


def endpoints(gateway):
    """State of each endpoint of the pool, as far as it is known."""
    told = json.loads(cli(gateway, "endpoints", "--pool", "apart", "--json") or "[]")
    return {each["endpoint"]: each["state"] for each in told}


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    directory = tmp_path_factory.mktemp("apart")
    policy = directory / "policy"
    shutil.copytree(DEMO, policy)
    with contextlib.ExitStack() as stack, recording() as other:
        engines = [
            Engine(role, directory / f"{role}{number}")
            for role in ("prefill", "decode")
            for number in range(2)
        ]
        for each in engines:
            stack.callback(each.end)
        for each in engines:
            wait_for(each.answers, what="an engine")
        pools = [
            {
                "name": "apart", "engine": "sim", "endpoints": [e.endpoint for e in engines],
                "endpoint_roles": {e.endpoint: e.role for e in engines},
                "health": {"slow_start_s": 0},
            },
            {"name": "other", "endpoints": [other.url.removeprefix("http://")]},
        ]  # fmt: skip
        models = [
            {"name": "demo", "pool": "apart", "fallback": ["another"]},
            {"name": "another", "pool": "other"},
        ]
        (policy / "pools.yaml").write_text(yaml.safe_dump({"pools": pools, "models": models}))
        with running(directory / "s", "--policy", str(policy)) as gateway:
            wait_for(
                lambda: set(endpoints(gateway).values()) == {"ready"}, what="looks at the engines"
            )
            yield Apart(gateway, engines, other)


@pytest.mark.parametrize("stream", [False, True])
def test_the_engine_that_answers_is_told_who_computes_the_prompt(apart, stream):
    """Roles alone make it so: the policy names no algorithm. Where there is no load, the beginning of a
    prompt decides which two: forty of them never come to the same engine."""
    used, everyone = set(), {each.endpoint for each in apart.engines}
    for number in range(40):
        text = f"thread {number} {stream}: {LONG}"
        answer = apart.post(text, stream=stream)
        seen = {engine.role: (engine.endpoint, headers) for engine, headers in apart.witness(text)}
        assert seen.keys() == {"prefill", "decode"}
        (prefiller, asked), (decoder, told) = seen["prefill"], seen["decode"]
        assert told[HEADER] == prefiller
        assert HEADER not in asked
        row = apart.gateway.row(answer.headers["x-request-id"])
        assert (row["endpoint"], row["status"], row["completion_tokens"]) == (decoder, 200, 3)
        used |= {prefiller, decoder}
        if used == everyone:
            break
    assert used == everyone


def test_what_is_short_or_cached_is_computed_where_it_is_answered(apart):
    apart.post("short")
    ((engine, headers),) = apart.witness("short")
    assert (engine.role, HEADER in headers) == ("decode", False)
    thread = [{"role": "user", "content": f"cached: {LONG}"}]
    apart.post("", messages=thread)
    turns = itertools.count(2)

    def once():
        """Ask on. Another worker than the first one's hears a moment later what is cached by now."""
        turn, caching = f"turn {next(turns)}.", {each for each, _ in apart.witness("cached: ")}
        apart.post("", messages=[*thread, {"role": "user", "content": turn}])
        seen = apart.witness(turn)
        return (*seen, caching) if len(seen) == 1 else None

    (engine, headers), caching = wait_for(once, what="a turn that one engine computes")
    assert (engine.role, HEADER in headers) == ("decode", False)
    assert engine in caching


@pytest.mark.parametrize("name", [HEADER, HEADER.title(), "x_prefiller_host_port"])
def test_no_client_says_where_prompts_are_computed(apart, name):
    for text in (f"{name} forged", f"{name} forged as well {LONG}"):
        apart.post(text, [(name, "127.0.0.1:1"), (name, "127.0.0.1:2")])
        said = [
            headers.get(HEADER) for each, headers in apart.witness(text) if each.role == "decode"
        ]
        assert said == [None] if text.endswith("forged") else said[0] in apart.of("prefill")
        assert not [1 for _, headers in apart.witness(text) if "x_prefiller_host_port" in headers]


def explained(apart, answer):
    """The record, and what a person is told."""
    decision = answer.headers["x-headgate-decision-id"]
    words = ("explain", decision, "--json")
    found = json.loads(wait_for(lambda: cli(apart.gateway, *words), what="the record"))["decision"]
    return found, " ".join(cli(apart.gateway, "explain", decision).split())


def test_both_are_explained(apart):
    answer = apart.post(f"explain {LONG}", EXPLAIN.items())
    told, said = explained(apart, answer)
    assert told["picker"] == "disaggregated"
    assert set(told["chosen"]) == apart.of("decode").keys()
    assert told["prefiller"] in apart.of("prefill")
    roles = {each["endpoint"]: each["role"] for each in told["candidates"]}
    assert roles == {each.endpoint: each.role for each in apart.engines}
    assert f"{told['chosen'][0]} was chosen among 4 by" in said
    assert f"The prompt was to be computed at {told['prefiller']}" in said
    short, said = explained(apart, apart.post("explain this", EXPLAIN.items()))
    assert "prefiller" not in short
    assert "too little of it was left to be sent around" in said


def test_another_pool_is_not_told_of_them(apart):
    """Envoy goes on to it by itself, with the headers of the first."""
    decoders = apart.of("decode").values()
    apart.fail(decoders, 1)
    try:
        answer = apart.post(f"elsewhere {LONG}")
    finally:
        apart.fail(decoders, 0)
    told = [headers[HEADER] for each, headers in apart.witness("elsewhere ")]
    assert set(told) <= apart.of("prefill").keys()
    assert len(told) == 2
    assert answer.headers["x-headgate-fallback"] == "from=demo; reason=failed"
    ((headers, _),) = apart.other.seen
    assert HEADER not in dict(headers)


def test_without_anybody_who_prefills_prompts_are_computed_where_they_are_answered(apart):
    """Last: it ends two of the engines, one after the other."""
    numbers = itertools.count()

    def sent(what):
        """Ask; who was sent it, and told what. The breakers of workers open by themselves: soon."""
        text = f"{what}, {next(numbers)}: {LONG}"
        answer = apart.post(text, EXPLAIN.items())
        told = [(each.role, headers.get(HEADER)) for each, headers in apart.witness(text)]
        return answer, sorted(told, key=str)

    one, other = apart.of("prefill").values()
    one.end()
    wait_for(lambda: endpoints(apart.gateway).get(one.endpoint) == "open", what="its breaker")
    both = [("decode", other.endpoint), ("prefill", None)]
    wait_for(lambda: sent("one is left")[1] == both, what="the other one alone")
    other.end()
    apart.post(f"nobody knows yet {LONG}")  # whoever decodes computes what he does not get
    wait_for(lambda: endpoints(apart.gateway).get(other.endpoint) == "open", what="its breaker")

    def alone():
        answer, told = sent("nobody is left")
        return answer if told == [("decode", None)] else None

    _, said = explained(apart, wait_for(alone, what="one that decodes alone"))
    assert "endpoints of the other kind were none or out" in said
    assert f"not a candidate: {other.endpoint} (open: refused)" in said
