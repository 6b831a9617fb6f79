"""What the gateway has to know about a kind of engine. Values only: no engine is asked anything here."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of engine, as seen from outside.

    `continuous_usage` says whether `stream_options.continuous_usage_stats` is honoured: then every
    event of a stream carries the usage so far, and a stream that is cut can still be charged.
    """

    name: str
    health_path: str
    metrics_path: str
    continuous_usage: bool


VLLM = Engine(name="vllm", health_path="/health", metrics_path="/metrics", continuous_usage=True)
# The built-in engine speaks vLLM's protocol, so it differs in name alone.
SIM = Engine(name="sim", health_path="/health", metrics_path="/metrics", continuous_usage=True)

ENGINES: Mapping[str, Engine] = MappingProxyType({engine.name: engine for engine in (VLLM, SIM)})
