"""Where counters are kept: a URL, read once.

    unix:///run/redis.sock?db=1
    redis://:password@host:6379/0            rediss://user:password@host (TLS)
    redis+sentinel://host:26379,host2/name/0   whoever is master of that name
    redis+cluster://host,host2                 whichever node has our keys

TLS (`rediss`, `rediss+sentinel`, `rediss+cluster`) verifies the server by the system's authorities;
`?ssl_ca_certs=FILE` names others, `?ssl_certfile=FILE&ssl_keyfile=FILE` shows a certificate of ours,
`?ssl_check_hostname=false` accepts any host name, `?ssl_cert_reqs=none` anything at all.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

OPTIONS = frozenset(
    {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"}
)

Kind = Literal["one", "sentinel", "cluster"]
KINDS: Mapping[str, Kind] = MappingProxyType(
    {"": "one", "sentinel": "sentinel", "cluster": "cluster"}
)
"""By what follows the plus sign."""
PORTS: Mapping[Kind, int] = MappingProxyType({"one": 6379, "sentinel": 26379, "cluster": 6379})
Place = str | tuple[str, int]
"""A unix socket, or a host and a port."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, and as whom."""

    kind: Kind
    places: tuple[Place, ...]
    """To be tried in order."""
    service: str = ""
    """The name that sentinels know the master by."""
    user: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: ssl.SSLContext | None = None


def read_url(url: str) -> Address:
    """Raises: ValueError, whose message never holds the password; OSError: a file of TLS is missing."""
    parts = urlsplit(url)
    scheme, _, suffix = parts.scheme.partition("+")
    if scheme not in {"unix", "redis", "rediss"} or suffix not in KINDS:
        raise ValueError(
            "begin it with unix, redis or rediss, and +sentinel or +cluster if need be"
        )
    options = dict(parse_qsl(parts.query))
    if unknown := sorted(options.keys() - OPTIONS):
        raise ValueError(f"{unknown[0]} is no option here")
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    kind, path, service = KINDS[suffix], unquote(parts.path), ""
    if kind == "sentinel":
        service, _, path = path.strip("/").partition("/")
        if not service:
            raise ValueError("sentinels need the master's name, as in redis+sentinel://host/name")
    return Address(
        kind,
        read_socket(path, kind) if scheme == "unix" else read_places(hosts, kind),
        service,
        unquote(user),
        unquote(password),
        read_db(options.get("db") or ("" if scheme == "unix" else path.strip("/")), kind),
        make_tls(options) if scheme == "rediss" else None,
    )


def read_socket(path: str, kind: Kind) -> tuple[Place, ...]:
    if not path or kind != "one":
        raise ValueError("write a socket as unix:///its/path")
    return (path,)


def read_places(hosts: str, kind: Kind) -> tuple[Place, ...]:
    """Read `host:port,[::1]:port,host`. Raises: ValueError."""
    places: list[Place] = []
    for one in hosts.split(","):
        split = urlsplit(f"//{one}")
        if not split.hostname:
            raise ValueError("a host is missing")
        places.append((split.hostname, split.port or PORTS[kind]))
    return tuple(places)


def read_db(text: str, kind: Kind) -> int:
    """Raises: ValueError."""
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("the database is a number")
    if kind == "cluster" and int(text or 0):
        raise ValueError("a cluster has only database 0")
    return int(text or 0)


def make_tls(options: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    none = options.get("ssl_cert_reqs") == "none"
    if none or options.get("ssl_check_hostname", "").lower() in {"false", "0", "no"}:
        context.check_hostname = False
    if none:
        context.verify_mode = ssl.CERT_NONE
    return context
