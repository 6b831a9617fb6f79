"""Pools that come, change and go while the gateway serves: through real Envoy."""

import contextlib
import json
import os
import signal
import threading
import time

import pytest

from extproc.cli.published import LINGER_S
from extproc.identity.keys import digest
from extproc.policy.load import load
from extproc.policy.status import read_statuses
from tests.e2e.conftest import refusing, running, wait_for
from tests.e2e.echoing import echoing
from tests.e2e.test_reload import CHAT, engines

SALT = "a-salt-of-tests"
KEY = "sk-pools"
REVOKED = "sk-pools-revoked"


def policy(pools, models, extra="", keys=(KEY,)):
    entries = [
        {"id": f"key-{n}", "digest": digest(SALT, key), "tenant": "acme", "project": "red"}
        for n, key in enumerate(keys)
    ]
    return f"""\
salt: {SALT}
tenants: [{{name: acme, projects: [red]}}]
keys: {json.dumps(entries)}
pools: {json.dumps(pools)}
models: {json.dumps(models)}
{extra}"""


def pool(name, endpoint):
    return {"name": name, "engine": "sim", "endpoints": [endpoint]}


def model(name, pool_, **members):
    return {"name": name, "pool": pool_, "served_as": "demo", **members}


def write(directory, text):
    draft = directory / ".policy.draft"
    draft.write_text(text)
    draft.rename(directory / "policy.yaml")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pools")
    (directory / "policy").mkdir()
    with engines(3) as endpoints:
        write(directory / "policy", policy([pool("a", endpoints[0])], [model("one", "a")]))
        with running(directory / "s", "--policy", str(directory / "policy")) as gateway:
            yield gateway, directory / "policy", endpoints


def ask(gateway, name, key=KEY, **members):
    body = {
        "model": name,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 2,
        **members,
    }
    with gateway.http(key) as http:
        return http.post(CHAT, json=body)


def said(gateway, event):
    """What the gateway's own process has logged of these."""
    output = gateway.layout.log / "up.log"
    return [line for line in output.read_text().splitlines() if event in line]


def served(gateway, name):
    answer = ask(gateway, name)
    return answer if answer.status_code == 200 else None


def served_by(gateway, name):
    """The engine; None where there is no answer."""
    answer = served(gateway, name)
    return answer and gateway.row(answer.headers["x-request-id"])["endpoint"]


class Streaming(threading.Thread):
    """A long answer, read beside the test. An engine that echoes says as much as it is told."""

    def __init__(self, gateway, name):
        super().__init__()
        self.gateway, self.name_ = gateway, name
        self.begun = threading.Event()
        self.last = ""

    def run(self):
        body = {
            "model": self.name_, "stream": True,
            "messages": [{"role": "user", "content": "again and again " * 500}],
        }  # fmt: skip
        with (
            self.gateway.http(KEY) as http,
            http.stream("POST", CHAT, json=body) as answer,
        ):
            for line in answer.iter_lines():
                self.begun.set()
                self.last = line or self.last


@contextlib.contextmanager
def under_way(gateway, name, engine):
    """An answer that goes on until the block ends, and then to its own end."""
    engine.pause_s = 0.1
    stream = Streaming(gateway, name)
    stream.start()
    try:
        assert stream.begun.wait(40)
        yield
        assert stream.is_alive()
    finally:
        engine.pause_s = 0
        stream.join(60)
    assert stream.last == "data: [DONE]"


def test_a_pool_comes_while_answers_are_under_way_and_goes_again(three):
    gateway, directory, (first, _, _) = three
    with echoing() as one, echoing() as two:
        ours, theirs = (each.url.removeprefix("http://") for each in (one, two))
        write(directory, policy([pool("a", ours)], [model("one", "a")]))
        wait_for(lambda: served_by(gateway, "one") == ours, what="an engine that takes its time")
        assert ask(gateway, "two").status_code == 404
        both = [pool("a", ours), pool("b", theirs)], [model("one", "a"), model("two", "b")]
        with under_way(gateway, "one", one):
            write(directory, policy(*both))
            assert wait_for(lambda: served_by(gateway, "two"), what="the new pool") == theirs

        # It goes, and an answer of it that is under way does not.
        with under_way(gateway, "two", two):
            write(directory, policy([pool("a", ours)], [model("one", "a")]))
            goes(gateway)
        write(directory, policy([pool("a", first)], [model("one", "a")]))
        wait_for(lambda: served_by(gateway, "one") == first, what="the engine that stays")


def goes(gateway):
    """Model `two` ends, then its pool."""
    wait_for(lambda: ask(gateway, "two").status_code == 404, what="the end of the model")
    clusters = gateway.layout.root / "envoy" / "pools.yaml"
    wait_for(lambda: "pool/b" not in clusters.read_text(), LINGER_S + 40, "that Envoy is told")
    assert ask(gateway, "one").status_code == 200


def test_the_first_chain_of_models_needs_no_restart_either(three):
    gateway, directory, (first, _, third) = three
    models = [
        model("one", "a", fallback=["spare"]),
        model("spare", "c"),
        model("gone", "dead", fallback=["spare"]),
    ]
    with refusing() as dead:
        pools = [pool("a", first), pool("c", third), pool("dead", dead)]
        write(directory, policy(pools, models))
        answer = wait_for(lambda: served(gateway, "gone"), what="the chain")
    assert answer.headers["x-headgate-model"] == "spare"
    assert gateway.row(answer.headers["x-request-id"])["endpoint"] == third


def test_requests_never_fail_while_pools_change(three):
    gateway, directory, (first, second, third) = three
    until = time.monotonic() + 4
    statuses = set()

    def push():
        with gateway.http(KEY) as http:
            while time.monotonic() < until:
                body = {
                    "model": "one",
                    "messages": [{"role": "user", "content": "hi"}],
                    "max_tokens": 1,
                }
                statuses.add(http.post(CHAT, json=body).status_code)

    clients = [threading.Thread(target=push) for _ in range(3)]
    for client in clients:
        client.start()
    for number, endpoint in enumerate([second, third, first]):
        now = pool(f"p{number}", endpoint)  # a new pool each time, for the model that is asked
        write(directory, policy([now], [model("one", now["name"])]))
        time.sleep(1.3)
    for client in clients:
        client.join()
    assert statuses == {200}
    assert said(gateway, "pools_changed")
    assert not said(gateway, "pools_refused")


def test_a_key_is_revoked_at_once_though_the_policy_waits(three):
    """It waits for a pool that moves, without end: Envoy cannot go there, for lack of certificates."""
    gateway, directory, (first, *_) = three

    def elsewhere(host, **members):
        upstream = {"url": f"https://{host}/v1", **members}
        return [pool("a", first), {"name": "far", "upstream": upstream}], [model("one", "a")]

    def statuses():
        return [ask(gateway, "one", key).status_code for key in (KEY, REVOKED)]

    def serving(version):
        return {each.version for each in read_statuses(gateway.layout.run)} == {version}

    def pids():
        return [each.pid for each in read_statuses(gateway.layout.run) if each.is_alive]

    before = policy(*elsewhere("127.0.0.1:9"), keys=(KEY, REVOKED))
    write(directory, before)
    old = load([directory]).version
    wait_for(lambda: serving(old), what="the pool elsewhere")
    assert statuses() == [200, 200]

    moved = elsewhere("127.0.0.2:9", ca_file="/nowhere/certificates.pem")
    write(directory, policy(*moved))
    left = f"{old}-{load([directory]).version}"
    wait_for(lambda: serving(left), what="the end of the key")
    assert statuses() == [200, 401]
    wait_for(lambda: said(gateway, "pools_refused"), what="Envoy's refusal")
    answer = ask(gateway, "one")
    assert gateway.row(answer.headers["x-request-id"])["policy"] == left
    assert statuses() == [200, 401]

    # A worker that begins now would serve all of it, were it not for what was served last.
    killed = read_statuses(gateway.layout.run)[0].pid
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in pids(), what="that it is gone")
    wait_for(lambda: len(pids()) == 2 and serving(left), what="one that serves what others do")
    wait_for(lambda: statuses() == [200, 401], what="that Envoy asks it")
    assert [statuses() for _ in range(6)] == [[200, 401]] * 6

    write(directory, before)
    wait_for(lambda: serving(old), what="the key that is put back")
    assert statuses() == [200, 200]
