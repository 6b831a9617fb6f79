"""Policies that change under load: every request is judged and billed by exactly one version."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import aiohttp
import httpx
import pytest

from extproc.identity.keys import digest
from extproc.policy.diff import compare
from extproc.policy.load import load
from faults.stand import STOP_S
from tests.e2e.conftest import ROOT, free_port, running, wait_for

pytestmark = pytest.mark.long

CHAT = "/v1/chat/completions"
SALT = "a-salt-of-tests"
SECONDS, RATE, RELOAD_S = 60, 100, 0.1
SETTLED_S = 15
"""From here on memory must not grow: by then caches are warm and every path has been taken."""
GROWTH = 1.05
RELOADS_LEAST = 100
"""By each worker. There are five times as many where two cores have nothing else to do."""
SLOW = 7
"""Every so manieth request sends its body in two parts with a reload or two between them."""
SLOW_S = 0.25


def policy(name, endpoints, keys, one, price, two):
    """`one` is the pool of model `one`; `two` tells who may use model `two`."""
    first, second = endpoints
    entries = "".join(
        f"  - {{id: {id_}, digest: {digest(SALT, key)}, tenant: {tenant}, project: {project}, "
        f"models: [{models}]}}\n"
        for id_, key, tenant, project, models in keys
    )
    return f"""\
# Version {name}.
salt: {SALT}
tenants:
  - {{name: acme, projects: [red]}}
  - {{name: globex, projects: [blue]}}
keys:
{entries}pools:
  - {{name: first, engine: sim, endpoints: ["{first}"]}}
  - {{name: second, engine: sim, endpoints: ["{second}"]}}
models:
  - {{name: one, pool: {one}, served_as: demo, price: {{input_usd: {price}, output_usd: {price}}}}}
  - {{name: two, pool: {two}, served_as: demo}}
"""


def two_policies(endpoints):
    """They differ in keys, prices, pools, and in what the key `both` stands for."""
    a = [("only-a", "sk-a", "acme", "red", "one"), ("both-a", "sk-both", "acme", "red", "one, two")]
    b = [
        ("only-b", "sk-b", "globex", "blue", "one"),
        ("both-b", "sk-both", "globex", "blue", "one"),
    ]
    return (
        policy("A", endpoints, a, "first", 1, "first"),
        policy("B", endpoints, b, "second", 2.5, "second"),
    )


UNKNOWN = (401, "invalid_api_key", None, None, None, None, None)
EXPECTED = {
    "A": {
        ("sk-a", "one"): (200, None, "acme", "red", "only-a", "one", "first"),
        ("sk-b", "one"): UNKNOWN,
        ("sk-both", "one"): (200, None, "acme", "red", "both-a", "one", "first"),
        ("sk-both", "two"): (200, None, "acme", "red", "both-a", "two", "first"),
    },
    "B": {
        ("sk-a", "one"): UNKNOWN,
        ("sk-b", "one"): (200, None, "globex", "blue", "only-b", "one", "second"),
        ("sk-both", "one"): (200, None, "globex", "blue", "both-b", "one", "second"),
        ("sk-both", "two"): (403, "model_forbidden", "globex", "blue", "both-b", None, None),
    },
}
"""By version, key and model: status, deny reason, tenant, project, key id, model, pool."""
ASKED = tuple(EXPECTED["A"])


class Mount:
    """A directory as Kubernetes mounts a ConfigMap: `p.yaml -> ..data/p.yaml`, `..data -> ..TIME`."""

    def __init__(self, path):
        self.path = path
        self._count = 0
        path.mkdir()

    def put(self, files):
        """Write a new directory, and let the link point to it: all files change at once."""
        self._count += 1
        inside = self.path / f"..{self._count}"
        inside.mkdir()
        for name, text in files.items():
            (inside / name).write_text(text)
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        self.swap(inside.name)
        return inside.name

    def swap(self, name):
        draft = self.path / "..data_tmp"
        draft.symlink_to(name)
        draft.rename(self.path / "..data")


@contextmanager
def engines(count):
    """Built-in engines that outlive the policies; gives their endpoints."""
    ports = [free_port() for _ in range(count)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "engines.sim", "--port", str(port), "--model", "demo"], cwd=ROOT
        )
        for port in ports
    ]
    endpoints = [f"127.0.0.1:{port}" for port in ports]
    try:
        for endpoint in endpoints:
            wait_for(lambda at=endpoint: answers(f"http://{at}/health"), what="an engine")
        assert [process.poll() for process in started] == [None] * count, "another has their port"
        yield endpoints
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(STOP_S)


def answers(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def headgate(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "extproc.cli", "policy", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def status(gateway):
    code, said = headgate("status", "--state", str(gateway.state), "--json")
    return code, json.loads(said)


def memory(pid):
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Sent:
    request_id: str
    key: str
    model: str
    status: int


async def send(client, number, key, model):
    body = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    raw = json.dumps(body).encode()

    async def slowly():
        yield raw[:10]
        await asyncio.sleep(SLOW_S)
        yield raw[10:]

    headers = {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "x-request-id": f"r-{number}",
    }
    data = raw if number % SLOW else slowly()
    async with client.post(CHAT, data=data, headers=headers) as answer:
        await answer.read()
        return Sent(f"r-{number}", key, model, answer.status)


async def load_for(gateway, seconds, versions, swap):
    """Ask `RATE` times a second while the policy changes; return what was asked, and each worker's
    memory over time."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    sent, sizes, pids = [], {pid: [] for pid in gateway.worker_pids()}, gateway.worker_pids()
    connector = aiohttp.TCPConnector(limit=0)

    async def flip():
        for version in cycle(versions):
            swap(version)
            await asyncio.sleep(RELOAD_S)

    async def weigh():
        while True:
            for pid in pids:
                sizes[pid].append((loop.time() - begun, memory(pid)))
            await asyncio.sleep(0.5)

    async def ask(client, number):
        await asyncio.sleep(begun + number / RATE - loop.time())
        sent.append(await send(client, number, *ASKED[number % len(ASKED)]))

    async with (
        aiohttp.ClientSession(gateway.url, connector=connector) as client,
        asyncio.TaskGroup() as tasks,
    ):
        beside = [tasks.create_task(flip()), tasks.create_task(weigh())]
        async with asyncio.TaskGroup() as requests:
            for number in range(RATE * seconds):
                requests.create_task(ask(client, number))
        for task in beside:
            task.cancel()
    return sent, sizes


def tell(line):
    """Figures for who runs pytest with `-s`, or sees it fail."""
    sys.stdout.write(f"{line}\n")


def reloads(gateway, result="ok"):
    for line in gateway.metrics().splitlines():
        if line.startswith(f'headgate_policy_reloads_total{{result="{result}"}}'):
            return int(float(line.split()[-1]))
    return 0


def version(gateway):
    """What all workers serve, once they agree."""

    def agreed():
        served = {each["version"] for each in status(gateway)[1]["workers"]}
        return len(served) == 1 and served.pop()

    return wait_for(agreed, what="workers of one mind")


TENANTS = "salt: a-salt-of-tests\ntenants: [{name: acme}]\n"


def one_key(key):
    return f"keys: [{{id: {key}, digest: {digest(SALT, key)}, tenant: acme}}]\n"


def test_a_config_map_is_swapped_and_a_bad_one_is_not(tmp_path):
    """Files change together, what is wrong is told by `headgate policy status`, and what is mended
    is served."""
    mount = Mount(tmp_path / "policy")
    mount.put({"a.yaml": TENANTS, "b.yaml": one_key("sk-old")})
    with running(tmp_path / "s", "--policy", str(mount.path)) as gateway:

        def is_known(key):
            with gateway.http(key) as http:
                return http.get("/v1/models").status_code == 200

        begun = version(gateway)
        assert is_known("sk-old")
        assert status(gateway)[0] == 0

        mount.put({"a.yaml": TENANTS.replace("acme", "globex"), "b.yaml": one_key("sk-new")})

        def judged():
            found = status(gateway)
            return all(worker["last_rejected"] for worker in found[1]["workers"]) and found

        code, told = wait_for(judged)
        assert code == 1
        assert is_known("sk-old")
        assert not is_known("sk-new")
        assert {worker["version"] for worker in told["workers"]} == {begun}
        assert {worker["on_disk_is"] for worker in told["workers"]} == {"rejected"}
        (mistake,) = told["workers"][0]["last_rejected"]["mistakes"]
        assert mistake == {
            "file": str(mount.path / "b.yaml"),
            "line": 1,
            "member": "keys[0].tenant",
            "message": "there is no tenant 'acme'",
        }
        wait_for(lambda: reloads(gateway, "rejected") == 2, what="the metric")

        mount.put({"a.yaml": TENANTS, "b.yaml": one_key("sk-new")})
        wait_for(lambda: version(gateway) != begun)
        wait_for(lambda: is_known("sk-new") and not is_known("sk-old"))
        code, told = status(gateway)
        assert code == 0
        assert {worker["on_disk_is"] for worker in told["workers"]} == {"in force"}
        assert all(worker["last_rejected"]["mended"] for worker in told["workers"])
    assert headgate("status", "--state", str(tmp_path / "s"))[0] == 2, "nobody serves any more"


def test_a_policy_directory_that_is_a_link_may_be_swapped(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "p.yaml").write_text(TENANTS + one_key(f"sk-{name}"))
    (tmp_path / "current").symlink_to("one")
    with running(tmp_path / "s", "--policy", str(tmp_path / "current")) as gateway:
        begun = version(gateway)
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "current")
        wait_for(lambda: version(gateway) != begun)
        with gateway.http("sk-two") as http:
            assert http.get("/v1/models").status_code == 200


@pytest.mark.timeout(300)
async def test_every_request_is_judged_and_billed_by_one_version(tmp_path):
    with engines(2) as endpoints:
        mount = Mount(tmp_path / "policy")
        texts = dict(zip("AB", two_policies(endpoints), strict=True))
        names = {letter: mount.put({"p.yaml": text}) for letter, text in texts.items()}
        loaded = {letter: load([mount.path / inside]) for letter, inside in names.items()}
        letters = {whole.version: letter for letter, whole in loaded.items()}
        assert {change.section for change in compare(*loaded.values())} == {"keys", "models"}

        env = {"HEADGATE_POLICY_POLL_S": "0.03"}
        with running(tmp_path / "s", "--policy", str(mount.path), env=env) as gateway:
            before = reloads(gateway)
            sent, sizes = await load_for(gateway, SECONDS, names.values(), mount.swap)
            done = reloads(gateway) - before
            rows = wait_for(
                lambda: len(r := gateway.rows("request_id like 'r-%'")) >= len(sent) and r
            )

    tell(f"{done} reloads by {len(sizes)} workers")
    assert done >= len(sizes) * RELOADS_LEAST, "it was hardly reloaded"
    assert len(rows) == len(sent) == SECONDS * RATE
    by_id = {row["request_id"]: row for row in rows}
    seen = Counter()
    for each in sent:
        row = by_id[each.request_id]
        letter = letters[row["policy"]]
        names = ("status", "deny_reason", "tenant", "project", "key_id", "model", "pool")
        found = tuple(row[name] for name in names)
        assert found == EXPECTED[letter][each.key, each.model], (letter, each)
        assert row["status"] == each.status < 500
        if row["pool"]:
            assert row["endpoint"] == endpoints[row["pool"] == "second"]
        seen[letter] += 1
    assert min(seen.values()) > len(sent) / 5, seen
    for pid, weights in sizes.items():
        early = statistics.median(w for at, w in weights if SETTLED_S <= at < SETTLED_S + 5)
        late = statistics.median(w for at, w in weights if at > SECONDS - 5)
        tell(f"worker {pid}: {early / 2**20:.1f} -> {late / 2**20:.1f} MiB resident")
        assert late <= early * GROWTH
