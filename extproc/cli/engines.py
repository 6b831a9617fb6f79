"""The engines behind `headgate up`: started here, or given by URL; told to the policy as a file."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import yaml

from dataplane.gateway import ConfigError
from dataplane.render import resolve
from extproc.cli.layout import Layout
from extproc.cli.preflight import UpError, free_port

SIM_MODEL = "demo"
SIM_ENGINES = 2
"""Two, so that retries, picking and the loss of one can be seen."""
PROBE_S = 5.0


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """One engine to start."""

    endpoint: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict[str, str])
    deadline_s: float = 15.0
    """How long it may take until it answers."""


@dataclass(frozen=True, slots=True)
class EngineGroup:
    """Endpoints that serve the same models."""

    engine: str
    models: tuple[str, ...]
    endpoints: tuple[str, ...]


def plan_sim(count: int = SIM_ENGINES) -> tuple[EngineGroup, list[EngineProcess]]:
    """Plan built-in engines on free ports."""
    processes: list[EngineProcess] = []
    for _ in range(count):
        port = free_port()
        argv = (sys.executable, "-m", "engines.sim", "--port", str(port), "--model", SIM_MODEL)
        processes.append(EngineProcess(f"127.0.0.1:{port}", argv))
    endpoints = tuple(process.endpoint for process in processes)
    return EngineGroup("sim", (SIM_MODEL,), endpoints), processes


async def group_given(urls: Sequence[str]) -> list[EngineGroup]:
    """Ask the given engines what they serve. Raises: UpError, naming the one that does not say."""
    endpoints = [to_endpoint(url) for url in urls]
    timeout = aiohttp.ClientTimeout(total=PROBE_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        served = await asyncio.gather(
            *(ask_models(session, u, e) for u, e in zip(urls, endpoints, strict=True))
        )
    groups: dict[tuple[str, ...], list[str]] = {}
    for endpoint, models in zip(endpoints, served, strict=True):
        groups.setdefault(models, []).append(endpoint)
    return [EngineGroup("vllm", models, tuple(members)) for models, members in groups.items()]


def to_endpoint(url: str) -> str:
    """Turn `http://host:port` into the `ip:port` that Envoy and the picker compare."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.rstrip("/") not in ("", "/v1"):
        raise UpError(f"--engine: {url!r} is not http://HOST:PORT")
    try:
        return resolve(f"{parts.hostname}:{parts.port or 80}")
    except (ConfigError, ValueError) as exc:
        raise UpError(f"--engine: {url}: {exc}") from None


async def ask_models(session: aiohttp.ClientSession, url: str, endpoint: str) -> tuple[str, ...]:
    try:
        async with session.get(f"http://{endpoint}/v1/models") as answer:
            answer.raise_for_status()
            listed = await answer.json()
        return tuple(sorted(str(card["id"]) for card in listed["data"]))
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as exc:
        reason = str(exc) or type(exc).__name__
        raise UpError(f"--engine: {url} does not list its models: {reason}") from None


async def is_healthy(endpoint: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=1.0)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{endpoint}/health") as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


def write_policy(layout: Layout, groups: Sequence[EngineGroup]) -> Path:
    """Write pools and models of these engines, to be joined with the operator's policy."""
    names = ["local"] if len(groups) == 1 else [f"local-{n}" for n in range(1, len(groups) + 1)]
    sections = {
        "pools": [
            {"name": name, "engine": group.engine, "endpoints": list(group.endpoints)}
            for name, group in zip(names, groups, strict=True)
        ],
        "models": [
            {"name": model, "pool": name}
            for name, group in zip(names, groups, strict=True)
            for model in group.models
        ],
    }
    path = layout.policy / "engines.yaml"
    comment = "# Written by `headgate up`: the engines it started or was given.\n"
    path.write_text(comment + yaml.safe_dump(sections, sort_keys=False), encoding="utf-8")
    return path
