"""The claims of a token: read strictly, checked against an issuer, mapped to an identity. Pure."""

import json
import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NoReturn, cast

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.request import Identity

Claims = Mapping[str, object]
MAX_TEXT = 256
"""Of a claim that is written down with every request. A subject has at most 255 characters
(OpenID Connect Core 2)."""


class ClaimsError(ValueError):
    """This is not a JSON object that everybody would read in the same way."""


def read_object(raw: bytes) -> Claims:
    """Parse a JSON object of which every reader makes the same.

    RFC 7519 4 lets us refuse a claim that stands twice, or take the last one. We refuse: another
    reader may have judged by the first.

    Raises:
        ClaimsError: It is not UTF-8, not JSON, not an object, or has a member twice, NaN, or half
            a surrogate pair in it.
    """
    try:
        text = raw.decode("utf-8")
        found: object = json.loads(text, object_pairs_hook=once, parse_constant=refuse_constant)
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    except (ValueError, RecursionError):
        raise ClaimsError("not a JSON object with unique members") from None
    if not isinstance(found, dict):
        raise ClaimsError("not a JSON object")
    return cast("Claims", found)


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object whose members stand once. Raises: ClaimsError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ClaimsError("a member stands twice")
    return found


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which are no JSON. Raises: ClaimsError."""
    raise ClaimsError(f"{name} is no JSON")


def find_claim(claims: Claims, path: str) -> object:
    """Find `realm_access.roles`, or None.

    A claim whose name is the whole path comes first: Auth0's are called like
    `https://example.com/tenant`, dots and all.
    """
    if path in claims:
        return claims[path]
    found: object = claims
    for name in path.split("."):
        found = member(found, name)
    return found


def member(value: object, name: str) -> object:
    return cast("Claims", value).get(name) if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Paths of the claims that say who it is; empty where the issuer has none."""

    tenant: str = ""
    project: str = ""
    user: str = "sub"
    groups: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Tenant:
    """What the policy says of a tenant, as far as it matters here."""

    projects: AbstractSet[str] = frozenset()
    region: str = ""


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose tokens count, and what must be true of them."""

    name: str
    issuer: str
    audiences: AbstractSet[str]
    algorithms: AbstractSet[str] = frozenset()
    leeway_s: float = 30.0
    names: ClaimNames = ClaimNames()
    tenant: str = ""
    """Of an issuer that serves one tenant only."""
    models: frozenset[str] = frozenset({"*"})
    groups: frozenset[str] = frozenset({"*"})
    """Those that its tokens may name."""
    by_envoy: bool = False
    """Its tokens are verified by Envoy's jwt_authn, which hands us their claims."""

    def check(self, claims: Claims, now_s: float) -> Deny | None:
        """See that the claims are for us and for now (RFC 7519 4.1)."""
        if claims.get("iss") != self.issuer:
            return refuse("The token's issuer is not accepted here.")
        if self.audiences.isdisjoint(texts(claims.get("aud"))):
            return refuse("The token is for another audience.")
        expires_s = read_time(claims.get("exp"))
        begins_s = read_time(claims.get("nbf", 0))
        issued_s = read_time(claims.get("iat", 0))
        if expires_s is None or begins_s is None or issued_s is None:
            return refuse("The token must say when it expires; exp, nbf and iat are numbers.")
        if now_s >= expires_s + self.leeway_s:
            return Deny(Reason.EXPIRED_TOKEN, "The token has expired.")
        if max(begins_s, issued_s) > now_s + self.leeway_s:
            return refuse("The token is not valid yet.")
        return None

    def identify(self, claims: Claims, tenants: Mapping[str, Tenant]) -> Identity | Deny:
        """Map checked claims. A tenant or project that the policy does not know is refused."""
        names = self.names
        tenant = self.tenant or read_text(claims, names.tenant)
        known = tenants.get(tenant) if tenant else None
        if known is None:
            said = "The token's tenant is not one of this gateway's."
            return Deny(Reason.UNKNOWN_IDENTITY, said)
        project = read_text(claims, names.project)
        if project is None or (project and project not in known.projects):
            said = "The token's project is not one of its tenant's."
            return Deny(Reason.UNKNOWN_IDENTITY, said)
        user, region = read_text(claims, names.user), read_text(claims, names.region)
        if user is None or region is None:
            return refuse("The token's user and region must be short, printable texts.")
        return Identity(
            tenant=tenant or "",
            key_id=f"jwt:{self.name}",  # a policy's key ids hold no colon
            project=project,
            user=user,
            models=self.models,
            groups=self._read_groups(claims),
            region=region or known.region,
        )

    def _read_groups(self, claims: Claims) -> frozenset[str]:
        """Groups mean the same whoever names them, so not every issuer may name all of them."""
        if not self.names.groups:
            return NONE
        named = frozenset(texts(find_claim(claims, self.names.groups)))
        return named if "*" in self.groups else named & self.groups


NONE: frozenset[str] = frozenset()


def refuse(message: str) -> Deny:
    """Build the refusal that most bad tokens get."""
    return Deny(Reason.INVALID_TOKEN, message)


def texts(value: object) -> Iterable[str]:
    """Read a claim that is one text or an array of them. Never cut at spaces: `not admin` is one
    group."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return (each for each in cast("list[object]", value) if isinstance(each, str))
    return ()


def read_text(claims: Claims, path: str) -> str | None:
    """Read a claim that is written down: empty when there is none, None when it cannot be used."""
    value = find_claim(claims, path) if path else None
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        return None
    return value


def read_time(value: object) -> float | None:
    """Read a NumericDate: seconds since the epoch, whole or not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
