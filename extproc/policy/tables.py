"""What filters look things up in, made from a policy once, when it loads."""

from collections.abc import Mapping
from math import inf
from pathlib import Path

from extproc.access import Access, Grant, Veto
from extproc.conditions import Condition
from extproc.identity.claims import ClaimNames, Issuer, Tenant
from extproc.identity.jwks import KeyRing, KeyRings, Source
from extproc.identity.keys import Key, KeySource, Service, digest
from extproc.identity.tokens import Tokens, Trusted
from extproc.policy.catalog import ModelPolicy, TrackPolicy
from extproc.policy.identities import IssuerPolicy, KeyPolicy
from extproc.policy.models import Policy
from extproc.request import Identity, Model
from extproc.routing.tracks import Share, Tracks


def tenant_table(policy: Policy) -> Mapping[str, Tenant]:
    """Tenant names -> what else is known of them."""
    return {
        each.name: Tenant(frozenset(each.projects), each.region or "") for each in policy.tenants
    }


def key_source(policy: Policy) -> KeySource:
    """Digests of keys, of the older keys they replace, and of services' tokens."""
    tenants = tenant_table(policy)
    known: dict[str, Key | Service] = {}
    for key in policy.keys:
        who = identity(key, tenants[key.tenant].region)
        until_s = key.expires.timestamp() if key.expires else inf
        known[key.digest] = Key(who, until_s, key.cidrs)
        for old in key.retiring:
            known[old.digest] = Key(who, min(until_s, old.until.timestamp()), key.cidrs)
    for service in policy.services:
        acts_for = frozenset(tenants) if "*" in service.tenants else frozenset(service.tenants)
        mark = digest(policy.salt, service.token.reveal())
        known[mark] = Service(service.name, acts_for, frozenset(service.groups))
    return KeySource(policy.salt, known)


def identity(key: KeyPolicy, region: str) -> Identity:
    return Identity(
        tenant=key.tenant,
        key_id=key.id,
        project=key.project or "",
        user=key.user or "",
        models=frozenset(key.models),
        groups=frozenset(key.groups),
        region=region,
    )


def token_table(policy: Policy, rings: KeyRings) -> Tokens:
    """The issuers, with their keys as they are and will be."""
    trusted = [Trusted(issuer(each), ring(each, rings)) for each in policy.issuers]
    return Tokens(trusted, tenant_table(policy))


def issuer(given: IssuerPolicy) -> Issuer:
    names = given.claims
    return Issuer(
        name=given.name,
        issuer=given.issuer,
        audiences=frozenset(given.audiences),
        algorithms=frozenset(given.algorithms),
        leeway_s=given.leeway_s,
        names=ClaimNames(
            names.tenant or "",
            names.project or "",
            names.user,
            names.groups or "",
            names.region or "",
        ),
        tenant=given.tenant or "",
        models=frozenset(given.models),
        groups=frozenset(given.groups),
        by_envoy=given.verified_by == "envoy",
    )


def ring(given: IssuerPolicy, rings: KeyRings) -> KeyRing | None:
    if given.jwks is None:
        return None
    url, file = given.jwks.url, given.jwks.file
    source = Source(given.name, str(url or ""), file or Path(), given.jwks.refresh_s)
    return rings.ring(source)


def model_table(policy: Policy) -> Mapping[str, Tracks]:
    """Public names and aliases -> what serves them."""
    found: dict[str, Tracks] = {}
    for model in policy.models:
        tracks = Tracks(model.name, tuple(share(model, track) for track in model.in_service()))
        found.update(dict.fromkeys((model.name, *model.aliases), tracks))
    return found


def share(model: ModelPolicy, track: TrackPolicy) -> Share:
    served_as = track.served_as or model.name
    price = str(model.price) if model.price else ""
    served = Model(model.name, track.pool, served_as, track.track, track.version, price)
    return Share(served, track.weight)


def access_table(policy: Policy) -> Access:
    """The rights of groups, and the conditions, compiled."""
    given = policy.access
    return Access(
        [
            Grant(frozenset(rule.groups), frozenset(rule.models), frozenset(rule.operations))
            for rule in given.allow
        ],
        [Veto(rule.name, rule.message, Condition(rule.when)) for rule in given.deny],
    )
