"""A service elsewhere that serves a pool: reached by name, with a key of its own."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dataplane.errors import ConfigError

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
HEADER = re.compile(r"[a-z0-9-]{1,64}")
VALUE = re.compile(r"[ -~]{1,1024}")
"""What may stand in a Lua string and in a header: printable ASCII."""

SYSTEM_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian, its descendants and Alpine keep the certificates that everybody trusts."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where it is and how it is asked. Its key is not here: it stands in a file of its own, which
    Envoy watches (`render.secret`)."""

    host: str
    """A name, or an IPv4 address."""
    port: int
    path: str = "/v1"
    """What stands there in place of the `/v1` that clients use."""
    key_header: Literal["authorization", "x-api-key", ""] = ""
    """Where it wants its key; empty: it wants none."""
    tls: bool = True
    sni: str = ""
    """The name in its certificate; empty: `host`."""
    ca_file: str = SYSTEM_CA_FILE
    http2: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Sent with every request. No secrets: they stand in Envoy's configuration."""
    connect_s: float = 5.0

    def __post_init__(self) -> None:
        if not HOST.fullmatch(self.host) or not 0 < self.port < 65536:
            raise ConfigError(f"upstream {self.host}:{self.port} is no host and port")
        if not PATH.fullmatch(self.path):
            raise ConfigError(f"upstream {self.host}: {self.path!r} is no path to begin with")
        for name, value in self.headers.items():
            if not HEADER.fullmatch(name) or not VALUE.fullmatch(value):
                raise ConfigError(f"upstream {self.host}: header {name!r} cannot be sent")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def name(self) -> str:
        """What its certificate must say."""
        return self.sni or self.host

    @property
    def authority(self) -> str:
        usual = 443 if self.tls else 80
        return self.host if self.port == usual else str(self)

    @property
    def key_prefix(self) -> str:
        return "Bearer " if self.key_header == "authorization" else ""

    @property
    def lua(self) -> str:
        """As `upstream.lua` wants it. JSON's strings are Lua's, as long as they are ASCII without
        escapes of JSON's own."""
        headers = ", ".join(f"[{json.dumps(k)}] = {json.dumps(v)}" for k, v in self.headers.items())
        return (
            f"{{ path = {json.dumps(self.path)}, authority = {json.dumps(self.authority)}, "
            f"headers = {{ {headers} }} }}"
        )
