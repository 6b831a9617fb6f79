"""Who is asking: one credential, and headers that may narrow what it stands for, never widen it."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.identity.claims import Tenant
from extproc.identity.credential import MISSING, TWO, find_credential
from extproc.identity.keys import Key, KeySource, Service
from extproc.identity.tokens import Tokens, looks_like_token
from extproc.request import Fact, Identity, Operation, Request

TENANT_HEADER = "x-tenant-id"
PROJECT_HEADER = "x-project-id"


class Identify(Filter):
    """Asks the keys and services first, by digest, then the tokens. `clock` tells seconds since the
    epoch."""

    name: ClassVar[str] = "identify"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Identity})

    def __init__(
        self,
        keys: KeySource,
        tokens: Tokens,
        tenants: Mapping[str, Tenant],
        clock: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._tenants = tenants
        self._clock = clock

    async def decide(self, request: Request) -> Decision:
        identity = await self._find(request)
        if isinstance(identity, Deny):
            return identity
        narrowed = narrow(identity, request.headers, self._tenants[identity.tenant])
        return narrowed if isinstance(narrowed, Deny) else request.having(narrowed)

    async def _find(self, request: Request) -> Identity | Deny:
        now_s = self._clock()
        given = find_credential(request.headers)
        if isinstance(given, Deny):
            return given
        seen = self._tokens.accept(request.claims, now_s) if request.claims else None
        if isinstance(seen, Deny):
            return seen
        if seen is not None:
            if given is None or self._tokens.agrees(given, seen, now_s):
                return seen
            return Deny(Reason.TWO_CREDENTIALS, TWO + "One is a token verified by the proxy.")
        if given is None:
            return Deny(Reason.MISSING_KEY, MISSING)
        return await self._judge(given, request, now_s)

    async def _judge(self, given: str, request: Request, now_s: float) -> Identity | Deny:
        mark = self._keys.mark(given)
        match self._keys.find(mark):
            case Key() as key:
                return key.judge(now_s, request.client_ip)
            case Service() as service:
                return self._act(service, request.headers)
            case None:
                pass
        if identity := self._tokens.recall(mark, now_s):
            return identity
        if looks_like_token(given):
            return await self._tokens.judge(given, mark, now_s)
        return Deny(Reason.INVALID_KEY, "This API key is not known.")

    def _act(self, service: Service, headers: Mapping[str, str]) -> Identity | Deny:
        tenant = headers.get(TENANT_HEADER, "")
        if not tenant:
            said = "A service must say in X-Tenant-ID whom it acts for."
            return Deny(Reason.INVALID_REQUEST, said, TENANT_HEADER)
        known = self._tenants.get(tenant)
        identity = service.act_for(tenant, known.region) if known else None
        said = "This service does not act for the tenant in X-Tenant-ID."
        return identity or Deny(Reason.WIDENED, said, TENANT_HEADER)


def narrow(identity: Identity, headers: Mapping[str, str], known: Tenant) -> Identity | Deny:
    """Apply the identity headers. One that claims more than the key has is refused, not ignored:
    a client that believes to act for another tenant must not be billed as itself."""
    tenant = headers.get(TENANT_HEADER, identity.tenant)
    if tenant != identity.tenant:
        return Deny(Reason.WIDENED, "This key is not the tenant's in X-Tenant-ID.", TENANT_HEADER)
    project = headers.get(PROJECT_HEADER, identity.project)
    if project == identity.project:
        return identity
    if identity.project or project not in known.projects:
        message = "This key is not the project's in X-Project-ID."
        return Deny(Reason.WIDENED, message, PROJECT_HEADER)
    return msgspec.structs.replace(identity, project=project)
