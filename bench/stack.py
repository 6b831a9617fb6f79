"""The processes of one variant, and all of them together, started in order and stopped for sure."""

import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import yaml

from bench.upstream import (
    MODEL,
    POOL,
    STREAM_MODEL,
    STREAM_POOL,
    chat,
    http_request,
    upstream_bootstrap,
)
from bench.variants import Variant, take_out
from dataplane.gateway import Files, Gateway, Pool
from dataplane.render import endpoints, render, write
from extproc.arrive import HEADERS
from extproc.cli.children import Child, Command
from extproc.cli.engines import is_healthy
from extproc.cli.layout import Layout
from extproc.cli.plan import DEMO_POLICY
from extproc.cli.preflight import free_port
from extproc.cli.processes import ENVOY_FLAGS
from extproc.cli.up import exists
from extproc.settings import inherited

READY_S = 30.0
GRACE_S = 6.0
"""Enough for the settle process to finish its files, which may take it 5 s."""
ENVOY_THREADS = ("--concurrency", "1")
"""One thread and one worker: with generator and upstream they share as few cores as there are."""


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Who answers: `ip:port` of the JSON upstream and of the engine that streams."""

    json: str
    stream: str
    pids: Mapping[str, int]

    @property
    def pools(self) -> tuple[Pool, ...]:
        return Pool(POOL, (self.json,)), Pool(STREAM_POOL, (self.stream,))


@dataclass(frozen=True, slots=True)
class Stack:
    """One running variant."""

    variant: Variant
    port: int
    layout: Layout
    pids: Mapping[str, int]
    """`envoy`, and `worker` and `settle` if it has them."""

    async def ext_proc_messages(self) -> int:
        """How many messages Envoy has exchanged with ext_proc so far, both ways."""
        connector = aiohttp.UnixConnector(path=str(self.layout.admin_socket))
        url = "http://envoy/stats?format=json&filter=ext_proc.stream_msgs_(sent|received)$"
        async with aiohttp.ClientSession(connector=connector) as admin, admin.get(url) as answer:
            stats = json.loads(await answer.read())["stats"]
        return sum(int(stat["value"]) for stat in stats)


class Rig:
    """Starts stacks below one directory, each with a state directory of its own."""

    def __init__(self, root: Path, envoy: Path, children: AsyncExitStack) -> None:
        self._root = root
        self._envoy = envoy
        self._children = children

    async def start_upstreams(self) -> Upstreams:
        """Raises: ChildError."""
        port, stream_port = free_port(), free_port()
        bootstrap = self._root / "upstream.json"
        bootstrap.write_text(upstream_bootstrap(port))
        answering = await self._start(self._envoy_command("upstream", bootstrap, self._root))
        sim = (sys.executable, "-m", "engines.sim", "--model", STREAM_MODEL)
        argv = (*sim, "--port", str(stream_port))
        engine = await self._start(Command("engine", argv, inherited(), self._root / "engine.log"))
        found = Upstreams(
            f"127.0.0.1:{port}",
            f"127.0.0.1:{stream_port}",
            {"upstream": pid_of(answering), "engine": pid_of(engine)},
        )
        await answering.ready(partial(is_healthy, found.json), READY_S)
        await engine.ready(partial(is_healthy, found.stream), READY_S)
        return found

    async def start(self, variant: Variant, upstreams: Upstreams, name: str = "") -> Stack:
        """Raises: ChildError, VariantError, OSError."""
        layout = Layout(self._root / (name or variant.name))
        layout.make()
        pids: dict[str, int] = {}
        if variant.worker:
            worker = await self._start(self._worker_command(variant, layout, upstreams))
            pids["worker"] = pid_of(worker)
            await worker.ready(partial(exists, layout.worker_socket(0)), READY_S)
        if variant.settles:
            pids["settle"] = pid_of(await self._start(settle_command(layout)))
        port = free_port()
        configure(variant, layout, upstreams, port)
        envoy = await self._start(self._envoy_command("envoy", layout.bootstrap, layout.log))
        pids["envoy"] = pid_of(envoy)
        await envoy.ready(partial(answers_chat, port), READY_S)
        return Stack(variant, port, layout, pids)

    async def _start(self, command: Command) -> Child:
        child = Child(command)
        self._children.push_async_callback(child.stop, GRACE_S)
        await child.start()
        return child

    def _envoy_command(self, name: str, bootstrap: Path, log: Path) -> Command:
        argv = (str(self._envoy), "-c", str(bootstrap), *ENVOY_FLAGS, *ENVOY_THREADS)
        return Command(name, argv, inherited(), log / f"{name}.log")

    def _worker_command(self, variant: Variant, layout: Layout, upstreams: Upstreams) -> Command:
        listen = f"unix:{layout.worker_socket(0)}"
        log = layout.log / "worker-0.log"
        if variant.worker in ("echo", "floor"):
            own = ("--own",) if variant.worker == "floor" else ()
            flags = ("--listen", listen, "--pool", POOL, "--endpoint", upstreams.json, *own)
            argv = (sys.executable, "-m", "bench.echo", *flags)
            return Command(variant.worker, argv, inherited(), log)
        write_policy(layout, upstreams)
        env = {
            **inherited(),
            "HEADGATE_POLICY": f"{DEMO_POLICY}:{layout.policy}",
            "HEADGATE_STATE": str(layout.root),
            "HEADGATE_LISTEN": listen,
            "PROMETHEUS_MULTIPROC_DIR": str(layout.metrics),
        }
        return Command("worker", (sys.executable, "-m", "extproc"), env, log)


@asynccontextmanager
async def rig(root: Path, envoy: Path) -> AsyncGenerator[Rig]:
    """Whatever was started is stopped in the end, last first."""
    async with AsyncExitStack() as children:
        yield Rig(root, envoy, children)


def pid_of(child: Child) -> int:
    assert child.pid is not None
    return child.pid


def settle_command(layout: Layout) -> Command:
    argv = (sys.executable, "-m", "ledger", "--state", str(layout.root), "--metrics-port", "0")
    return Command("settle", argv, inherited(), layout.log / "settle.log")


def write_policy(layout: Layout, upstreams: Upstreams) -> None:
    sections = {
        "pools": [
            {"name": pool.name, "engine": "sim", "endpoints": list(pool.endpoints)}
            for pool in upstreams.pools
        ],
        "models": [
            {"name": MODEL, "pool": POOL},
            {"name": STREAM_MODEL, "pool": STREAM_POOL},
        ],
    }
    (layout.policy / "engines.yaml").write_text(yaml.safe_dump(sections))


def configure(variant: Variant, layout: Layout, upstreams: Upstreams, port: int) -> None:
    """Render what `headgate up` would, and take out what the variant does without."""
    gateway = Gateway(
        port=port,
        files=Files.under(layout.root),
        worker_sockets=(layout.worker_socket(0),),
        pools=upstreams.pools,
        shown_headers=HEADERS,
    )
    for pool in gateway.pools:
        write(endpoints(pool), gateway.endpoints_file(pool))
    rendered = render(gateway)
    # Without ext_proc nobody names a pool. JSON is YAML, too.
    text = json.dumps(take_out(rendered, variant)) if variant.without else rendered
    write(text, layout.bootstrap)


async def answers_chat(port: int) -> bool:
    """Whether a chat is answered with 200 all the way from the upstream."""
    head, _, body = http_request(chat(), POOL).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    headers = dict(line.split(": ", 1) for line in lines if not line.startswith("Content-Length"))
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session,
            session.post(url, data=body, headers=headers) as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
