"""A service elsewhere that serves a pool: where it is, and with which key it is asked."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from dataplane.upstream import SYSTEM_CA_FILE, Upstream
from engines.anthropic import VERSION
from extproc.policy.base import FullPath, Secret, Strict, Url
from extproc.policy.egress import EgressPolicy

HostName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$")
]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,1024}$")]
Seconds = Annotated[FiniteFloat, Field(ge=0.001, le=3600)]
"""From a millisecond on: tiny numbers would be written as 1e-05s, which is no Duration of protobuf."""

KEY_HEADERS: Mapping[str, Literal["authorization", "x-api-key"]] = {
    "openai": "authorization",
    "anthropic": "x-api-key",
}
SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "host"}
)


class UpstreamPolicy(Strict):
    """An external provider, or any other service that speaks one of the two dialects."""

    url: Url  # what its API begins with: https://api.example.com/v1
    dialect: Literal["openai", "anthropic"] = "openai"
    key: Secret | None = None  # none: it wants none
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)  # with every request
    ca_file: FullPath | None = None  # whom to trust; none: the system's certificates
    sni: HostName | None = None  # the name in its certificate, where that is not the URL's
    http2: bool = False
    connect_s: Seconds = 5.0
    silence_s: Seconds = 600.0  # no byte for so long is the end
    egress: EgressPolicy = EgressPolicy()  # what may leave; nothing personal, if left out

    @model_validator(mode="after")
    def check_url(self) -> Self:
        if self.url.query or self.url.fragment:
            raise ValueError("url: it has no query and no fragment")
        if self.url.scheme != "https" and (self.ca_file or self.sni):
            raise ValueError("ca_file and sni are for https")
        if strange := sorted(SECRET_HEADERS & self.headers.keys()):
            raise ValueError(f"headers: {strange[0]} is set by the gateway; a key goes into key")
        self.where()
        return self

    def where(self) -> Upstream:
        """Compile it. Raises: ConfigError, which is a ValueError."""
        headers = dict(self.headers)
        if self.dialect == "anthropic":
            headers.setdefault("anthropic-version", VERSION)
        return Upstream(
            host=self.url.host or "",
            port=self.url.port or 0,
            path=(self.url.path or "").rstrip("/"),
            key_header=KEY_HEADERS[self.dialect] if self.key else "",
            tls=self.url.scheme == "https",
            sni=self.sni or "",
            ca_file=str(self.ca_file or SYSTEM_CA_FILE),
            http2=self.http2,
            headers=headers,
            connect_s=self.connect_s,
        )
