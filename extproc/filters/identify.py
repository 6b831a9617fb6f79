"""Who is asking: an API key, and headers that may narrow what it stands for but never widen it."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import ClassVar

from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.keys import KeySource
from extproc.request import Fact, Identity, Operation, Request

SCHEME = "bearer "
TENANT_HEADER = "x-tenant-id"
PROJECT_HEADER = "x-project-id"


class Identify(Filter):
    """`projects` are the project names of each tenant."""

    name: ClassVar[str] = "identify"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Identity})

    def __init__(self, keys: KeySource, projects: Mapping[str, AbstractSet[str]]) -> None:
        self._keys = keys
        self._projects = projects

    async def decide(self, request: Request) -> Decision:
        given = request.headers.get("authorization", "")
        if not given:
            message = "No API key given. Send it as 'Authorization: Bearer KEY'."
            return Deny(Reason.MISSING_KEY, message)
        if not given.lower().startswith(SCHEME):
            return Deny(Reason.INVALID_KEY, "The Authorization header must be 'Bearer KEY'.")
        identity = self._keys.find(given[len(SCHEME) :].strip())
        if identity is None:
            return Deny(Reason.INVALID_KEY, "This API key is not known.")
        narrowed = narrow(identity, request.headers, self._projects.get(identity.tenant, set()))
        return narrowed if isinstance(narrowed, Deny) else request.having(narrowed)


def narrow(
    identity: Identity, headers: Mapping[str, str], projects: AbstractSet[str]
) -> Identity | Deny:
    """Apply the identity headers. One that claims more than the key has is refused, not ignored:
    a client that believes to act for another tenant must not be billed as itself."""
    tenant = headers.get(TENANT_HEADER, identity.tenant)
    if tenant != identity.tenant:
        return Deny(Reason.WIDENED, "This key is not the tenant's in X-Tenant-ID.", TENANT_HEADER)
    project = headers.get(PROJECT_HEADER, identity.project)
    if project == identity.project:
        return identity
    if identity.project or project not in projects:
        message = "This key is not the project's in X-Project-ID."
        return Deny(Reason.WIDENED, message, PROJECT_HEADER)
    return replace(identity, project=project)
