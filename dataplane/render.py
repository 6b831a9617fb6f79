"""Typed settings to Envoy's files: the bootstrap, the answer filter within it, pools and routes, endpoints of each pool."""

import json
import os
import socket
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from textwrap import indent

from jinja2 import Environment, FunctionLoader, StrictUndefined

from dataplane.gateway import ConfigError, Endpoint, Gateway, Pool, parse_endpoint
from dataplane.replies import local_replies

LUA_PARTS = ("json.lua", "usage.lua", "sse.lua", "strip.lua", "answer.lua")
"""The answer filter, in the order in which each part finds what it uses defined before it."""

MOST_TRIES = 8
"""Longest list of pools that a worker may name for one request: `extproc/filters/fallback.py`."""

TTFT_US = "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:us)%"
"""Time to first token: from the request's first byte to the first byte of the answer's *body*."""


def answer_lua() -> str:
    """The Lua source of the answer filter. One chunk, one filter: both steps share one scan of the bytes."""
    return "\n".join(read(part) for part in LUA_PARTS)


def upstream_lua(pool: Pool) -> str:
    """The Lua source that makes requests fit for one pool."""
    where = pool.upstream.lua if pool.upstream else "nil"
    return f"local POOL, UPSTREAM = {json.dumps(pool.name)}, {where}\n\n{read('upstream.lua')}"


def render(gateway: Gateway, *, apart: bool = False) -> str:
    """Envoy's bootstrap as commented YAML. Every value from outside stands in it as a JSON literal.

    `apart`: without pools and their routes, which Envoy reads from files that may change: `clusters`, `routes`.
    """
    return fill("bootstrap.yaml.j2", gateway, apart=apart)


def clusters(gateway: Gateway) -> str:
    """The pools as the DiscoveryResponse that Envoy reads from a file."""
    if not gateway.pools:
        return "resources: []\n"
    return "resources:\n" + fill("pools.yaml.j2", gateway, apart=True)


def routes(gateway: Gateway) -> str:
    """Which pool a request goes to, as the DiscoveryResponse that Envoy reads from a file."""
    written = indent(fill("routes.yaml.j2", gateway, apart=True), "  ")
    return f"resources:\n- {proto('envoy.config.route.v3.RouteConfiguration')}\n{written}"


def fill(template: str, gateway: Gateway, *, apart: bool) -> str:
    # Not HTML: jinja's autoescape would mangle YAML. `tojson` is what keeps values from becoming structure.
    environment = Environment(  # noqa: S701 - see above
        loader=FunctionLoader(read),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = quoted
    environment.filters["s"] = seconds
    environment.filters["ms"] = milliseconds
    return environment.get_template(template).render(
        gateway=gateway,
        apart=apart,
        t=gateway.timeouts,
        ttft_us=TTFT_US,
        local_replies=local_replies(gateway),
        answer_lua=answer_lua(),
        upstream_lua=upstream_lua,
        most_tries=MOST_TRIES,
        proto=proto,
    )


def proto(name: str) -> str:
    """The member by which a message within an Any says what it is."""
    return f'"@type": type.googleapis.com/{name}'


def endpoints(pool: Pool) -> str:
    """The pool's endpoints as the DiscoveryResponse that Envoy reads from a file (JSON, which is YAML)."""
    hosts = [
        {**socket_address(parse_endpoint(each)), **metadata(pool.labels.get(each, {}))}
        for each in pool.endpoints
    ]
    assignment = {
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": f"pool/{pool.name}",
        "endpoints": [{"lb_endpoints": hosts}],
    }
    return json.dumps({"resources": [assignment]}, indent=2) + "\n"


def secret(pool: Pool, key: str) -> str:
    """The key of the pool's upstream as the DiscoveryResponse that Envoy reads from a file."""
    named = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": f"key/{pool.name}",
        "generic_secret": {"secret": {"inline_string": key}},
    }
    return json.dumps({"resources": [named]}, indent=2) + "\n"


def socket_address(endpoint: Endpoint) -> dict[str, object]:
    address = {"address": endpoint.ip, "port_value": endpoint.port}
    return {"endpoint": {"address": {"socket_address": address}}}


def metadata(labels: Mapping[str, str | float]) -> dict[str, object]:
    return {"metadata": {"filter_metadata": {"headgate": dict(labels)}}} if labels else {}


def write(text: str, path: Path, mode: int = 0o644) -> None:
    """Replaces a file by renaming: a reader sees the old text or the new one, and Envoy's watch sees the rename."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def resolve(host_port: str) -> str:
    """`host:port` as `ip:port`, asking the resolver. For the edge: call it once, and use its answer everywhere.

    Raises:
        ConfigError: the name does not resolve, or the form is wrong.
    """
    host, _, port = host_port.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError) as fault:
        raise ConfigError(f"endpoint {host_port!r} cannot be resolved: {fault}") from fault
    # IPv4 first: `localhost` is both, and most engines listen on 0.0.0.0.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(Endpoint(str(found[0][4][0]), int(port)))


def read(name: str) -> str:
    return resources.files("dataplane").joinpath(name).read_text(encoding="utf-8")


def quoted(text: str) -> str:
    """One line of our own as a YAML scalar that shows its JSON as it is."""
    return "'" + text.replace("'", "''") + "'"


def seconds(value_s: float) -> str:
    """A protobuf Duration as JSON writes it."""
    return f"{value_s:g}s"


def milliseconds(value_ms: float) -> str:
    return seconds(value_ms / 1000)
