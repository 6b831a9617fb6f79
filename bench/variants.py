"""The same gateway with parts taken out: what is left of a difference is the price of the part."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, TypeAlias

import yaml

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

EXT_PROC = "headgate.ext_proc"
LUA = "headgate.answer"
JSON_LOG = "envoy.access_loggers.file"
GRPC_LOG = "envoy.access_loggers.http_grpc"
WORKERS, THEIR_LOGS = "workers", "access_logs"
"""The two clusters that lead to workers."""

POOL_HEADER = "x-headgate-pool"
BENCH_POOL_HEADER = "x-bench-pool"
"""Chooses the pool where nobody decides. Every variant is sent it, so that requests are alike."""

PROBES = "health_checks"
"""Goes with the parts: an endpoint that nobody names must be known to be well, and our upstream takes
no pool's name for a host name. Probes come every few seconds and weigh nothing."""


class VariantError(Exception):
    """The rendered configuration has not the parts that this file knows by name."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to stand before the engines."""

    name: str
    """Short, for tables and for its directory."""
    title: str
    without: frozenset[str] = frozenset()
    """Parts of the rendered configuration to take out, by their Envoy names."""
    worker: Literal["echo", "floor", "headgate"] | None = None
    settles: bool = False
    """The settle process runs beside it."""


BARE = Variant(
    "bare",
    "bare Envoy: the listener and the pools",
    frozenset({EXT_PROC, GRPC_LOG, WORKERS, THEIR_LOGS, JSON_LOG, LUA}),
)
LOGGED = Variant(
    "logged",
    "bare Envoy + JSON access log + Lua usage filter",
    frozenset({EXT_PROC, GRPC_LOG, WORKERS, THEIR_LOGS}),
)
ECHO = Variant("echo", "Envoy + echo ext_proc on grpc.aio, same modes and logs", worker="echo")
FLOOR = Variant("floor", "the same, the echo on Headgate's own gRPC", worker="floor")
HEADGATE = Variant("headgate", "Envoy + Headgate", worker="headgate")
SETTLED = Variant("settled", "Envoy + Headgate + settle process", worker="headgate", settles=True)

VARIANTS = (BARE, LOGGED, ECHO, FLOOR, HEADGATE, SETTLED)


def take_out(rendered: str, variant: Variant) -> Json:
    """The configuration without the variant's parts, routed by the client's own header.

    Raises: VariantError when a part is not there to be taken out.
    """
    tree: Json = yaml.safe_load(rendered)
    if absent := sorted(variant.without - set(names(tree))):
        raise VariantError(f"the rendered configuration has no {', '.join(absent)}")
    if POOL_HEADER not in names(tree):
        raise VariantError(f"no route is chosen by {POOL_HEADER}")
    pruned = prune(tree, variant.without, PROBES)
    return rename(pruned, POOL_HEADER, BENCH_POOL_HEADER)


def names(tree: Json) -> Iterator[str]:
    """Every `name` in the tree."""
    match tree:
        case dict():
            name = tree.get("name")
            if isinstance(name, str):
                yield name
            for value in tree.values():
                yield from names(value)
        case list():
            for value in tree:
                yield from names(value)
        case _:
            return


def prune(tree: Json, without: AbstractSet[str], member: str) -> Json:
    """Leave out every list entry whose `name` is among `without`, and every such member."""
    match tree:
        case dict():
            return {k: prune(value, without, member) for k, value in tree.items() if k != member}
        case list():
            return [
                prune(value, without, member)
                for value in tree
                if not (isinstance(value, dict) and value.get("name") in without)
            ]
        case _:
            return tree


def rename(tree: Json, old: str, new: str) -> Json:
    """Replace every string that is exactly `old`."""
    match tree:
        case dict():
            return {key: rename(value, old, new) for key, value in tree.items()}
        case list():
            return [rename(value, old, new) for value in tree]
        case _:
            return new if tree == old else tree
