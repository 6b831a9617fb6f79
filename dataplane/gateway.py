"""What the data plane is made of: typed values, checked when they are built, with the why of each number."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from dataplane.errors import ConfigError
from dataplane.upstream import Upstream

__all__ = [
    "ConfigError",
    "Endpoint",
    "Files",
    "Gateway",
    "Pool",
    "Sidecar",
    "Timeouts",
    "Upstream",
    "parse_endpoint",
]

MIB = 1024 * 1024

UNIX_PATH_BYTES = 107
"""Longest unix socket path: `sun_path` has 108 bytes with its closing zero (Linux, unix(7))."""

POOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A pool's name is a header value, a file name and part of a metric label."""

ENDPOINT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:\[\]]*)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One engine server. `str()` gives the very form that Envoy and the picker compare."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """`ip:port` or `[ipv6]:port`.

    Raises:
        ConfigError: for anything else. A host name is refused: Envoy's endpoint discovery takes
            addresses only, and the picker must name an endpoint by exactly this string, so a name
            is resolved once, where it enters (`render.resolve`).
    """
    match = ENDPOINT.fullmatch(text)
    if match is None or not 0 < int(match["port"]) <= 65535:
        raise ConfigError(f"endpoint {text!r} is not of the form ip:port or [ipv6]:port")
    host = match["v6"] if match["v6"] is not None else match["v4"]
    try:
        ip = str(ip_address(host))
    except ValueError:
        raise ConfigError(f"endpoint {text!r} names a host; give its IP address") from None
    if (":" in ip) != (match["v6"] is not None):
        raise ConfigError(f"endpoint {text!r}: an IPv6 address stands in brackets, an IPv4 one not")
    return Endpoint(ip, int(match["port"]))


@dataclass(frozen=True, slots=True)
class Pool:
    """The engine servers that serve one model version. Its endpoints may change while Envoy runs."""

    name: str
    endpoints: tuple[str, ...]
    labels: Mapping[str, Mapping[str, str | float]] = field(
        default_factory=dict[str, Mapping[str, str | float]]
    )
    """By endpoint: what the access log is to say of the one that served."""
    upstream: Upstream | None = None
    """Where it is served, if not by engines of ours: then it has no endpoints."""
    silence_s: float = 600.0
    """No byte in either direction within one request: then it is over."""

    def __post_init__(self) -> None:
        if not POOL_NAME.fullmatch(self.name):
            raise ConfigError(
                f"pool {self.name!r}: a name has 1 to 63 letters, digits, dots, dashes or underscores"
            )
        if len(set(self.endpoints)) != len(self.endpoints):
            raise ConfigError(f"pool {self.name}: an endpoint is listed twice")
        for endpoint in self.endpoints:
            if str(parse_endpoint(endpoint)) != endpoint:
                raise ConfigError(
                    f"pool {self.name}: write endpoint {endpoint!r} as {parse_endpoint(endpoint)}"
                )


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A service beside the gateway, on a unix socket that nobody but Envoy may reach: it believes
    what the headers say of who asks."""

    name: str
    socket: Path
    timeout_s: float
    """For its whole answer."""

    @property
    def pool(self) -> str:
        """What selects its route, and its cluster's name. No pool is called so: those have no slash."""
        return f"sidecar/{self.name}"

    def __post_init__(self) -> None:
        if not POOL_NAME.fullmatch(self.name):
            raise ConfigError(f"sidecar {self.name!r}: its name is made of what pools' names are")
        check_socket_path(self.socket)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Every wait in the data path. docs/dataplane.md tells them as one story."""

    request_headers_s: float = 10
    """From a request's first byte to its last header. Longer is a slow-header attack, not a client."""
    request_s: float = 120
    """To the end of the body and of the decision: 16 MiB at 1.2 Mbit/s. Guards against slow bodies."""
    keepalive_s: float = 620
    """An idle client connection. Load balancers before us idle out at 60 to 600 s and must do so first:
    a connection that we close while they send on it fails a request that was never read."""
    stream_idle_s: float = 600
    """Silence inside a request that is on its way to a decision, or to a sidecar. Once it is sent to
    engines, their pool says how long (`Pool.silence_s`)."""
    decision_ms: int = 5000
    """ext_proc's message_timeout. 16 bodies of 16 MiB at once took 1.1 s on two cores, and a loaded
    worker is slower; a worker that hangs costs a request this long."""
    decision_max_ms: int = 30_000
    """How far Headgate may stretch decision_ms for one request, to let it wait in a queue."""
    worker_connect_ms: int = 250
    """A unix socket connects at once or never."""
    worker_silent_ms: int = 2000
    """Between Envoy's ping on an access log stream and a worker's answer. A machine may stand still for a
    moment; a worker that hangs keeps what is told to it to itself."""
    engine_connect_ms: int = 1000
    """One lost SYN is sent again after 1 s; an engine that takes longer is not the one to pick."""
    engine_keepalive_s: float = 4
    """An idle connection to an engine. uvicorn, under vLLM and SGLang, closes after 5 s; closing first
    avoids sending a request into a connection that is just being closed."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where Envoy reads and writes."""

    admin_socket: Path
    access_log: Path
    endpoints_dir: Path
    """One file for each pool, `POOL.yaml`. A changed file must be renamed into place."""
    secrets_dir: Path
    """The same for the keys of upstreams elsewhere, one for each place; for nobody else to read."""
    clusters: Path
    """Pools, when they may change while Envoy runs; renamed into place as well."""
    routes: Path
    """How requests find them: changed after `clusters`, once Envoy knows those."""

    def __post_init__(self) -> None:
        check_socket_path(self.admin_socket)

    @classmethod
    def under(cls, state: Path) -> "Files":
        return cls(
            admin_socket=state / "run" / "envoy-admin.sock",
            access_log=state / "log" / "access.jsonl",
            endpoints_dir=state / "envoy" / "endpoints",
            secrets_dir=state / "envoy" / "secrets",
            clusters=state / "envoy" / "pools.yaml",
            routes=state / "envoy" / "routes.yaml",
        )


@dataclass(frozen=True, slots=True)
class Gateway:
    """One Envoy: a listener for clients, the ext_proc workers beside it, pools of engines behind it."""

    port: int
    """0 lets the kernel choose."""
    files: Files
    worker_sockets: tuple[Path, ...]
    """One unix socket for each worker process: SO_REUSEPORT would send all of Envoy to one of them."""
    pools: tuple[Pool, ...]
    sidecars: tuple[Sidecar, ...] = ()
    address: str = "127.0.0.1"
    timeouts: Timeouts = field(default_factory=Timeouts)
    body_bytes: int = 16 * MIB
    """Largest request body; above it the answer is 413. A 1M-token prompt is about 4 MB of JSON. The gRPC
    servers must be told to receive more than this: grpcio's own limit is 4 MiB."""
    max_connections: int = 20_000
    """Client connections, before new ones are refused: far more would exhaust file descriptors first."""
    shown_headers: tuple[str, ...] = ()
    """Request headers that workers are shown, in lower case; none: all of them."""
    xff_trusted_hops: int = 0
    """How many proxies before us append to x-forwarded-for truthfully. 0: the peer is the client."""
    falls_back: bool = False
    """Whether requests may go on to another pool's engines when those of the first fail."""
    retries: int = 3
    """The picker names up to four endpoints: the first, and one for each retry."""
    periodic_log_s: float = 10
    """How often a request in flight is logged: it renews leases and is well below their lifetime."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is not between 0 and 65535")
        try:
            ip_address(self.address)
        except ValueError:
            raise ConfigError(f"address {self.address!r} is not an IP address") from None
        if not self.worker_sockets:
            raise ConfigError("a gateway needs at least one worker socket")
        for socket in self.worker_sockets:
            check_socket_path(socket)
        names = [pool.name for pool in self.pools]
        if len(set(names)) != len(names):
            raise ConfigError("two pools have the same name")
        beside = [sidecar.name for sidecar in self.sidecars]
        if len(set(beside)) != len(beside):
            raise ConfigError("two sidecars have the same name")

    def endpoints_file(self, pool: Pool) -> Path:
        return self.files.endpoints_dir / f"{pool.name}.yaml"

    def secret_file(self, pool: Pool) -> Path:
        """The place is in its name: where a pool moves to gets no key of the place that it leaves, nor that
        place the new one."""
        place = hashlib.sha256(str(pool.upstream).encode()).hexdigest()[:8]
        return self.files.secrets_dir / f"{pool.name}-{place}.yaml"

    @property
    def chain_silences(self) -> tuple[tuple[float, tuple[str, ...]], ...]:
        """How long requests that may go from pool to pool may be silent, shortest first: of each such time,
        the pools that may be silent for longer. A chain is given the longest time of its pools, for Envoy
        keeps one time for all attempts."""
        if not self.falls_back:
            return ()
        return tuple(
            (silence_s, tuple(each.name for each in self.pools if each.silence_s > silence_s))
            for silence_s in sorted({each.silence_s for each in self.pools})
        )

    @property
    def rewrites(self) -> bool:
        """Whether what leaves for a pool has to be made fit for it (`upstream.lua`)."""
        return self.falls_back or any(pool.upstream for pool in self.pools)


def check_socket_path(path: Path) -> None:
    """Raises ConfigError for a path that is too long to be bound: Envoy's own message names no path."""
    size = len(os.fsencode(path))
    if size > UNIX_PATH_BYTES:
        raise ConfigError(
            f"socket path {path} has {size} bytes, {UNIX_PATH_BYTES} is the most: use a shorter --state"
        )
