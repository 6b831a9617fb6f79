"""Who there is: tenants, their keys, the issuers whose tokens count, services of our own."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from extproc.policy.base import Digest, FullPath, Name, Secret, Strict, Url, Word

Network = IPv4Network | IPv6Network
ClaimPath = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$")]
"""`groups`, or `realm_access.roles`: members of nested objects, joined by dots."""
Algorithm = Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Asymmetric ones only: with a shared secret, whoever can verify can forge."""


class TenantPolicy(Strict):
    name: Word
    projects: tuple[Word, ...] = ()
    region: Word | None = None
    accepts_downgrade: bool = False  # lesser models may answer when there is too much to do


class RetiringDigest(Strict):
    """An older digest of the same key, good until its overlap is over."""

    digest: Digest
    until: AwareDatetime


class KeyPolicy(Strict):
    """An API key, by its digest: `headgate keys new` prints both."""

    id: Word  # what logs and the ledger show in place of the key
    digest: Digest
    tenant: Word
    project: Word | None = None  # none: the client may name one in X-Project-ID
    user: Word | None = None
    groups: tuple[Word, ...] = ()
    models: tuple[Name | Literal["*"], ...] = ("*",)  # public names; "*" is all
    expires: AwareDatetime | None = None
    cidrs: tuple[Network, ...] = ()  # client addresses it may come from; none: any
    retiring: tuple[RetiringDigest, ...] = ()  # `headgate keys rotate` moves the old digest here


class Jwks(Strict):
    """Where an issuer's public keys are. Exactly one of the two."""

    url: Url | None = None
    file: FullPath | None = None
    refresh_s: Annotated[int, Field(ge=1, le=86400)] = 300

    @model_validator(mode="after")
    def check_one(self) -> Self:
        if (self.url is None) == (self.file is None):
            raise ValueError("give exactly one of url and file")
        return self


class ClaimMapping(Strict):
    """Which claims say who it is."""

    tenant: ClaimPath | None = None
    project: ClaimPath | None = None
    user: ClaimPath = "sub"
    groups: ClaimPath | None = None
    region: ClaimPath | None = None


class IssuerPolicy(Strict):
    """An OpenID Connect issuer whose tokens are accepted as credentials."""

    name: Word
    issuer: Annotated[str, StringConstraints(min_length=1)]  # the exact `iss`
    audiences: Annotated[tuple[str, ...], Field(min_length=1)]  # one of them must be in `aud`
    verified_by: Literal["headgate", "envoy"] = "headgate"  # envoy: by its jwt_authn, as Istio does
    jwks: Jwks | None = None  # its keys; none when Envoy verifies
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256", "EdDSA")
    leeway_s: Annotated[int, Field(ge=0, le=300)] = 30  # how far clocks may differ
    claims: ClaimMapping = ClaimMapping()
    tenant: Word | None = None  # for issuers of one tenant, in place of claims.tenant
    models: tuple[Name | Literal["*"], ...] = ("*",)
    groups: tuple[Word | Literal["*"], ...] = (
        "*",
    )  # what claims.groups may name; others are ignored

    @model_validator(mode="after")
    def check_tenant(self) -> Self:
        if (self.tenant is None) == (self.claims.tenant is None):
            raise ValueError("give exactly one of tenant and claims.tenant")
        return self

    @model_validator(mode="after")
    def check_groups(self) -> Self:
        """What has no effect is a mistake."""
        if self.groups != ("*",) and self.claims.groups is None:
            raise ValueError("groups needs claims.groups, where a token names them")
        return self

    @model_validator(mode="after")
    def check_verified_by(self) -> Self:
        """What has no effect is a mistake."""
        if self.verified_by == "headgate" and self.jwks is None:
            raise ValueError("say in jwks where its keys are")
        if self.verified_by == "envoy" and {"jwks", "algorithms"} & self.model_fields_set:
            raise ValueError("jwks and algorithms are Envoy's to know when it verifies")
        return self


class ServicePolicy(Strict):
    """A service of ours (RAG, agents): it acts for tenants and names them in X-Tenant-ID."""

    name: Word
    token: Secret
    tenants: tuple[Word | Literal["*"], ...] = ("*",)
    groups: tuple[Word, ...] = ()
