"""JSON Web Tokens: verified with the keys of their issuer, remembered no longer than they live.

Only asymmetric algorithms exist here, each key serves only the algorithms of its kind, and the
policy says which of them an issuer uses: neither `none` nor an HMAC "signed" with a public key has
anywhere to go. PyJWT verifies the signature; the claims are ours to judge (`claims.py`).
"""

import base64
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.identity.claims import (
    Claims,
    ClaimsError,
    Issuer,
    Tenant,
    read_object,
    read_time,
    refuse,
)
from extproc.identity.keyset import KeySet, PublicKey
from extproc.request import Identity

SHAPE = re.compile(r"eyJ[\w-]*\.[\w-]*\.[\w-]*", re.ASCII)
"""Three parts in base64url, the first of which begins with `{"`. The last may be empty: a token of
algorithm `none` is refused like any other forgery."""
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA")
TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
"""Of access tokens (RFC 7519 5.1, RFC 9068 2.1). Issuers sign other things with the same keys:
notices of logout are `logout+jwt`."""
CACHE_SIZE = 10_000
"""Tokens remembered by each worker, in some 10 MB. A token lives for minutes."""
RETRY_AFTER_S = 5
"""Keys that are missing are looked up again within that time."""


class Ring(Protocol):
    """An issuer's keys, as they are now. `jwks.KeyRing` keeps them fresh."""

    @property
    def keys(self) -> KeySet | None:
        """None until they were got for the first time; another object whenever they change."""
        ...

    @property
    def is_stale(self) -> bool:
        """The latest attempt to get them failed."""
        ...

    async def refresh(self) -> None:
        """Wait, for a bounded time, until they are looked up anew; not at all, when that was done
        only just now."""
        ...


@dataclass(frozen=True, slots=True)
class Trusted:
    """An issuer and its keys. Without any, its tokens are verified by Envoy."""

    issuer: Issuer
    ring: Ring | None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A token that nobody has verified yet."""

    kid: str | None
    algorithm: str
    payload: bytes
    claims: Claims


@dataclass(frozen=True, slots=True)
class Known:
    """A token that was verified, until when, and with which keys."""

    identity: Identity
    until_s: float
    ring: Ring
    keys: KeySet


class Tokens:
    """The issuers of one policy version, and what was verified under it."""

    def __init__(
        self,
        trusted: Sequence[Trusted],
        tenants: Mapping[str, Tenant],
        cache_size: int = CACHE_SIZE,
    ) -> None:
        self._trusted = {each.issuer.issuer: each for each in trusted}
        self._tenants = tenants
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._cache_size = cache_size
        self._jws = PyJWS(algorithms=ALGORITHMS)

    def recall(self, mark: str, now_s: float) -> Identity | None:
        """Look up a token by its digest: one that was verified, has not ended since, and whose
        issuer has the same keys as then. Costs 1 us."""
        known = self._known.get(mark)
        if known is None:
            return None
        if now_s >= known.until_s or known.ring.keys is not known.keys:
            del self._known[mark]
            return None
        self._known.move_to_end(mark)
        return known.identity

    async def judge(self, token: str, mark: str, now_s: float) -> Identity | Deny:
        """Verify a token and say whom it stands for; `mark` is its digest. Costs about 0.1 ms, with
        ES384 or for the longest token half a millisecond."""
        try:
            parsed = parse(token)
        except ClaimsError:
            return refuse("This is not a well-formed token.")
        trusted = self._trusted.get(str(parsed.claims.get("iss")))
        if trusted is None or trusted.ring is None:
            return refuse("The token's issuer is not accepted here.")
        if parsed.algorithm not in trusted.issuer.algorithms:
            return refuse("The token's algorithm is not accepted here.")
        key = await find_key(trusted.ring, parsed)
        if isinstance(key, Deny):
            return key
        if not self._is_signed(token, parsed, key):
            return refuse("The token's signature is wrong.")
        identity = self._identify(trusted.issuer, parsed.claims, now_s)
        if isinstance(identity, Identity) and (keys := trusted.ring.keys):
            until_s = read_time(parsed.claims.get("exp")) or 0.0
            self._remember(mark, Known(identity, until_s, trusted.ring, keys))
        return identity

    def accept(self, claims: Claims, now_s: float) -> Identity | Deny | None:
        """Say whom claims stand for that Envoy has verified; None when the policy does not leave
        that issuer's tokens to Envoy."""
        trusted = self._trusted.get(str(claims.get("iss")))
        if trusted is None or not trusted.issuer.by_envoy:
            return None
        return self._identify(trusted.issuer, claims, now_s)

    def agrees(self, token: str, identity: Identity, now_s: float) -> bool:
        """Tell whether a token, unverified, claims the very identity that Envoy has verified: it
        is then the one that Envoy has seen, and no second credential."""
        try:
            return self.accept(parse(token).claims, now_s) == identity
        except ClaimsError:
            return False

    def _is_signed(self, token: str, parsed: Parsed, key: PublicKey) -> bool:
        try:
            seen = self._jws.decode_complete(token, key.material, algorithms=[parsed.algorithm])
        except PyJWTError:
            return False
        return bool(seen["payload"] == parsed.payload)  # read the same way by PyJWT and by us

    def _identify(self, issuer: Issuer, claims: Claims, now_s: float) -> Identity | Deny:
        return issuer.check(claims, now_s) or issuer.identify(claims, self._tenants)

    def _remember(self, mark: str, known: Known) -> None:
        self._known[mark] = known
        if len(self._known) > self._cache_size:
            self._known.popitem(last=False)


async def find_key(ring: Ring, parsed: Parsed) -> PublicKey | Deny:
    """Find the key that a token names. One that is not there may be new: then the keys are looked
    up, once for all who ask meanwhile."""
    key = ring.keys.find(parsed.kid, parsed.algorithm) if ring.keys else None
    if key is None:
        await ring.refresh()
        key = ring.keys.find(parsed.kid, parsed.algorithm) if ring.keys else None
    if key is None and (ring.keys is None or ring.is_stale):
        said = "The gateway cannot get the keys of the token's issuer. Try again."
        return Deny(Reason.NO_ISSUER_KEYS, said, retry_after_s=RETRY_AFTER_S)
    return key or refuse("The token's key is not one of its issuer's.")


def looks_like_token(credential: str) -> bool:
    return SHAPE.fullmatch(credential) is not None


def parse(token: str) -> Parsed:
    """Take a token apart, believing nothing. Raises: ClaimsError."""
    if not looks_like_token(token):
        raise ClaimsError("not three parts")
    head, payload, _ = (decode(part) for part in token.split("."))
    header = read_object(head)
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ", "")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None):
        raise ClaimsError("alg and kid must be texts")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise ClaimsError("not an access token")
    return Parsed(kid, algorithm, payload, read_object(payload))


def decode(part: str) -> bytes:
    """Decode base64url without padding. Raises: ClaimsError."""
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise ClaimsError("not base64url") from None
