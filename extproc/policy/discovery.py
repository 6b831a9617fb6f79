"""Who names the endpoints of a pool, besides the policy, and where engines tell of their caches."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FiniteFloat, HttpUrl, StringConstraints, model_validator

from extproc.policy.base import Strict

Port = Annotated[int, Field(ge=1, le=65535)]
HostName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?$")
]
DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""What Kubernetes calls Services, namespaces and ports (RFC 1123)."""
RoleName = Literal["both", "prefill", "decode"]
"""What an endpoint does of a request, where prefill and decode are apart."""


def check_bare(url: HttpUrl) -> HttpUrl:
    if url.username or url.password or url.query or url.fragment:
        raise ValueError("give scheme, host, port and path alone")
    return url


class DnsPolicy(Strict):
    """A name that has an address for each endpoint, such as a headless Service."""

    host: HostName
    port: Port
    interval_s: Annotated[FiniteFloat, Field(ge=0.1, le=3600)] = 5.0  # how often it is asked


class KubernetesPolicy(Strict):
    """A Service; its EndpointSlices are followed."""

    service: DnsLabel
    namespace: DnsLabel
    port: Port | DnsLabel | None = None  # number or name; none: the only one there is
    api: Annotated[HttpUrl, AfterValidator(check_bare)] | None = (
        None  # none: the cluster it runs in
    )
    token_file: Path | None = None  # none: that of the pod's service account
    ca_file: Path | None = None


class SourcePolicy(Strict):
    """One that names endpoints: exactly one of dns and kubernetes."""

    dns: DnsPolicy | None = None
    kubernetes: KubernetesPolicy | None = None
    role: RoleName = "both"  # of all that it names

    @model_validator(mode="after")
    def check_one(self) -> Self:
        if (self.dns is None) == (self.kubernetes is None):
            raise ValueError("give exactly one of dns and kubernetes")
        return self


class KvEventsPolicy(Strict):
    """Where the engines of a pool publish what their caches gain and lose (vLLM:
    `--kv-events-config`). The ports are the same at all of them."""

    port: Port  # of `endpoint`
    replay_port: Port | None = None  # of `replay_endpoint`; none: what is lost stays lost
    ranks: Annotated[int, Field(ge=1, le=64)] = 1  # data-parallel engines behind an endpoint
