"""The services beside the gateway, which paths are theirs, and what they are told of who asks.

A sidecar gets a request as the client sent it, less its credentials, and the identity in headers
of ours. `SIDECARS` is the one place that lists them: the API surface, the relay filter, Envoy's
routes and `headgate up` follow it.
"""

from dataclasses import dataclass

from extproc.request import Kind


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One service, reached over a unix socket of its own."""

    name: str
    """`python -m sidecars.NAME` starts it."""
    kind: Kind
    paths: tuple[str, ...]
    """Each of them, and all that is below it."""
    methods: tuple[str, ...]
    timeout_s: float
    """How long Envoy waits for its whole answer: more than the service's own deadline, which tells
    the client more."""

    @property
    def pool(self) -> str:
        """What selects its route. No pool of a policy can be called so: their names have no slash."""
        return f"sidecar/{self.name}"

    def owns(self, path: str) -> bool:
        return any(path == own or path.startswith(f"{own}/") for own in self.paths)


SIDECARS = (
    Sidecar(
        "ledger",
        Kind.USAGE,
        ("/headgate/v1/usage", "/headgate/v1/openapi.json"),
        ("GET", "HEAD"),
        timeout_s=20,
    ),
)


def find_sidecar(path: str) -> Sidecar | None:
    return next((each for each in SIDECARS if each.owns(path)), None)
