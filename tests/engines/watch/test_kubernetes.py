"""Following a Service over HTTP: a small API server on loopback that does as it is told."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from engines.watch.config import Kubernetes
from engines.watch.kubernetes import Api, follow_kubernetes
from tests.engines.watch.test_slices import endpoint, piece
from tests.engines.watch.waiting import GUARD_S, until

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
PATH = "/apis/discovery.k8s.io/v1/namespaces/llm/endpointslices"


class ApiServer:
    """`slices` is what there is; `watches` are what the next watches say, each a list of lines, a status,
    or an event that ends it. The last one stays open."""

    def __init__(self, *slices):
        self.slices, self.version, self.watches = [*slices], 5, []
        self.asked, self.tokens, self.status, self.lines = [], [], 200, asyncio.Queue()
        self.watch_status, self.cuts = 200, False

    async def answer(self, request):
        self.tokens.append(request.headers.get("authorization"))
        query = dict(request.query)
        assert request.path == PATH
        assert query.pop("labelSelector") == "kubernetes.io/service-name=vllm"
        self.asked.append(query)
        if self.cuts:
            request.transport.abort()
            return web.Response()
        status = self.watch_status if "watch" in query and self.status == 200 else self.status
        if status != 200:
            return web.Response(status=status)
        if "watch" not in query:
            whole = {"metadata": {"resourceVersion": str(self.version)}, "items": self.slices}
            return web.json_response(whole)
        return await self.watch(request)

    async def watch(self, request):
        response = web.StreamResponse()
        await response.prepare(request)
        while (line := await self.lines.get()) is not None:
            raw = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            for start in range(0, len(raw), 50):  # lines come in any pieces
                await response.write(raw[start : start + 50])
        return response

    def say(self, kind, what):
        self.lines.put_nowait({"type": kind, "object": what})

    @property
    def watched_from(self):
        return [query["resourceVersion"] for query in self.asked if "watch" in query]

    @property
    def lists(self):
        return sum("watch" not in query for query in self.asked)

    @asynccontextmanager
    async def run(self):
        app = web.Application()
        app.router.add_get("/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            for _ in range(9):  # watches that nobody reads any more wait, too
                self.lines.put_nowait(None)
            await runner.cleanup()


@asynccontextmanager
async def following(server, **more):
    heard = []
    async with (
        asyncio.timeout(GUARD_S),
        server.run() as url,
        asyncio.TaskGroup() as tasks,
    ):
        source = Kubernetes("llm", "vllm", api=url, **more)
        running = tasks.create_task(follow_kubernetes(source, heard.append))
        yield heard
        running.cancel()


def told(caplog):
    ours = (each for each in caplog.records if each.name == "engines.watch.kubernetes")
    return [record.message for record in ours]


def ready(*addresses):
    return {f"{address}:8000": "ready" for address in addresses}


async def test_a_list_and_then_what_changes(tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n")
    server = ApiServer(piece("a", endpoint(A)))
    async with following(server, token_file=str(token)) as heard:
        await until(lambda: heard == [ready(A)])
        server.say("ADDED", piece("b", endpoint(B), version="6"))
        await until(lambda: heard[-1] == ready(A, B))
        leaving = endpoint(A, ready=False, serving=True, terminating=True)
        server.say("MODIFIED", piece("a", leaving, version="7"))
        await until(lambda: heard[-1] == {f"{A}:8000": "draining", **ready(B)})
        server.say("DELETED", piece("a", version="8"))
        await until(lambda: heard[-1] == ready(B))
        server.say("BOOKMARK", {"metadata": {"resourceVersion": "99"}})
        token.write_text("second\n")
        server.lines.put_nowait(None)  # the time of a watch is over
        await until(lambda: len(server.watched_from) == 2)
    assert server.watched_from == ["5", "99"], "it goes on from where it was"
    assert server.lists == 1
    assert {"Bearer first"} == set(server.tokens[:2])
    assert server.tokens[2] == "Bearer second", "tokens are renewed"


async def test_a_watch_that_is_too_old_lists_again(caplog):
    server = ApiServer(piece("a", endpoint(A)))
    async with following(server) as heard:
        await until(lambda: heard)
        server.slices, server.version = [piece("b", endpoint(C))], 50
        server.say("ERROR", {"code": 410, "message": "too old resource version"})
        await until(lambda: heard[-1] == ready(C))
        await until(lambda: server.watched_from == ["5", "50"])
    assert not caplog.records, "that is as it should be"


@pytest.mark.parametrize("nonsense", [b"<html>\n", b'{"type": "ADDED"}\n'])
async def test_a_watch_that_talks_nonsense_lists_again(caplog, nonsense):
    server = ApiServer(piece("a", endpoint(A)))
    async with following(server) as heard:
        await until(lambda: heard)
        server.slices = [piece("a", endpoint(B))]
        server.lines.put_nowait(nonsense)
        await until(lambda: heard[-1] == ready(B))
        await until(lambda: told(caplog) == ["discovery_failed", "discovery_back"])


async def test_an_api_that_is_away_changes_nothing_and_is_told_of_once(caplog):
    server = ApiServer(piece("a", endpoint(A)))
    async with following(server) as heard:
        await until(lambda: heard)
        server.status = 500
        server.lines.put_nowait(None)
        before = len(server.asked)
        await until(lambda: len(server.asked) >= before + 2)
        assert heard == [ready(A)]
        server.status, server.slices = 200, [piece("a", endpoint(B))]
        await until(lambda: heard[-1] == ready(B))
        await until(lambda: told(caplog) == ["discovery_failed", "discovery_back"])
    assert "500" in caplog.records[0].reason


async def test_a_token_that_cannot_be_read_is_a_failure(tmp_path, caplog):
    server = ApiServer(piece("a", endpoint(A)))
    async with following(server, token_file=str(tmp_path / "none")) as heard:
        await until(lambda: caplog.records)
        (tmp_path / "none").write_text("here")
        await until(lambda: heard)
    assert set(server.tokens) == {"Bearer here"}


def test_in_a_cluster_the_pods_own_account_counts():
    api = Api(Kubernetes("llm", "vllm"))
    assert api.url == f"https://kubernetes.default.svc{PATH}"
    with pytest.raises(OSError, match="token"):
        api.headers()
    with pytest.raises(OSError):  # noqa: PT011 - there is no CA here either
        api.tls()


def test_an_api_that_is_named_may_need_no_token():
    api = Api(Kubernetes("llm", "vllm", api="http://127.0.0.1:8001"))
    assert (api.headers(), api.tls()) == ({}, True)
    with pytest.raises(OSError):  # noqa: PT011 - no such file
        Api(Kubernetes("llm", "vllm", ca_file=str(Path("none")))).tls()


async def test_an_api_that_lets_us_list_and_not_watch_is_told_of_once(caplog):
    server = ApiServer(piece("a", endpoint(A)))
    server.watch_status = 403
    async with following(server) as heard:
        await until(lambda: server.lists >= 3)
        assert told(caplog) == ["discovery_failed"]
        server.slices = [piece("a", endpoint(B))]
        await until(lambda: heard[-1] == ready(B))
        server.watch_status = 200
        await until(lambda: told(caplog) == ["discovery_failed", "discovery_back"])


async def test_a_watch_that_cannot_be_begun_again_is_told_of_once(caplog):
    server = ApiServer(piece("a", endpoint(A)))
    async with following(server) as heard:
        await until(lambda: server.watched_from)
        server.cuts = True
        server.lines.put_nowait(None)
        await until(lambda: len(server.watched_from) >= 3)
        assert told(caplog) == ["discovery_failed"]
        server.cuts = False
        await until(lambda: told(caplog) == ["discovery_failed", "discovery_back"])
    assert (heard, server.lists) == ([ready(A)], 1), "what it said last holds"
