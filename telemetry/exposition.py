"""/metrics: this process and all workers in one answer, in the text format Prometheus asks for."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from math import isnan
from pathlib import Path
from typing import cast

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from telemetry.bounded import MAX_LABEL_SETS, OTHER

_GAUGE_FILE = re.compile(r"gauge_live[a-z]+_(\d+)\.db")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it lives, under another user
    return True


class WorkerFiles(Collector):
    """The metrics that workers left in `directory`, added up.

    A dead worker's counters stay, for a counter must never go back; its gauges go, for it holds
    no bytes and serves no policy any more. `alive` tells which pids live.
    """

    def __init__(self, directory: Path, alive: Callable[[int], bool] = is_alive) -> None:
        self._directory = directory
        self._alive = alive

    def collect(self) -> Iterator[Metric]:
        self._bury()
        # A worker killed between creating its file and sizing it leaves one that cannot be read.
        files = [str(file) for file in sorted(self._directory.glob("*.db")) if _size(file) > 0]
        for metric in _merge(files):
            yield capped(metric)

    def _bury(self) -> None:
        for file in self._directory.glob("gauge_live*.db"):
            match = _GAUGE_FILE.fullmatch(file.name)
            if match and not self._alive(int(match[1])):
                file.unlink(missing_ok=True)


def _merge(files: list[str]) -> Iterable[Metric]:
    # prometheus_client gives no types here.
    merged = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return cast("Iterable[Metric]", merged)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def capped(metric: Metric, limit: int = MAX_LABEL_SETS) -> Metric:
    """Fold the label sets beyond `limit` into one.

    Each worker keeps to its own bound; what several workers counted together might not.
    """
    kept: set[tuple[tuple[str, str], ...]] = set()
    folded = Metric(metric.name, metric.documentation, metric.type)
    surplus: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in metric.samples:
        if isnan(sample.value):  # a gauge of something that is gone
            continue
        if sample.value == 0 and sample.name.endswith("_info"):  # which no worker serves any more
            continue
        labels = tuple(sorted(item for item in sample.labels.items() if item[0] != "le"))
        if labels in kept or len(kept) < limit - 1:
            kept.add(labels)
            folded.add_sample(sample.name, sample.labels, sample.value)
        else:
            renamed = {n: value if n == "le" else OTHER for n, value in sample.labels.items()}
            key = (sample.name, tuple(renamed.items()))
            surplus[key] = surplus.get(key, 0.0) + sample.value
    for (name, labels), value in surplus.items():
        folded.add_sample(name, dict(labels), value)
    return folded


def registry_over(directory: Path, alive: Callable[[int], bool] = is_alive) -> CollectorRegistry:
    """Make a registry that also shows what the workers wrote into `directory`."""
    registry = CollectorRegistry()
    registry.register(WorkerFiles(directory, alive))
    return registry


@asynccontextmanager
async def serving_metrics(
    registry: CollectorRegistry, host: str, port: int
) -> AsyncGenerator[int, None]:
    """Serve `/metrics` inside the block and yield the port; 0 lets the system choose one.

    Rendering reads files and adds thousands of samples, so it runs in a thread: a scrape never
    delays a commit. Raises OSError when the port is taken.
    """

    async def metrics(request: web.Request) -> web.Response:
        accept = ",".join(request.headers.getall("Accept", []))
        encode, content_type = choose_encoder(accept)
        body = await asyncio.to_thread(encode, registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield _port(runner.addresses)
    finally:
        await runner.cleanup()


def _port(addresses: Iterable[tuple[object, ...]]) -> int:
    for address in addresses:
        port = address[1]
        if isinstance(port, int):
            return port
    raise OSError("the metrics server has no TCP address")
