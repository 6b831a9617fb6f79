"""What a new policy takes away, in force while the rest of it waits: a revoked key must not work on because a pool
is late. Pure.

Credentials at once, rights with the rules. What is left of the policy of before has its rules, and those identities
that both policies have: let in as the new one says (digests, expiry, networks, an issuer's keys), with the rights that
the old one gives them (groups, models, tenants), for groups mean nothing without their rules. So no entry may do by
groups of one and rules of the other what neither allows, a key that was just rotated works, and a credential that is
wider in the new policy is so at once. Who may be somebody else now is left out: another tenant, project or user under
the same id, another issuer or other claims, audiences that only one of them has, a credential that was another's.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from extproc.identity.keys import digest
from extproc.policy.identities import IssuerPolicy, KeyPolicy, ServicePolicy, TenantPolicy
from extproc.policy.models import Policy

LESS = "-"
"""Between two versions: `A-B` is A, less what B takes away. It is neither of them, so it bears neither's name: a row of
the ledger that says A was judged by all of A. And it has no third part, however many policies have waited in the
meantime: whoever is let in has a credential of B, and rights of A."""

Identity = TenantPolicy | KeyPolicy | IssuerPolicy | ServicePolicy
Entry = TypeVar("Entry", bound=Identity)
Join = Callable[[Entry, Entry], Entry | None]


def withdrawn(before: Policy, now: Policy) -> Policy:
    """Take from `before`, which is in force, the credentials that `now` does not have, or not so; `before` itself when
    there are none. Both have their secrets.

    What services and issuers name may be missing: they are refused when they act for it. The sources are those of
    `before`: a worker that starts while the files are broken serves that one whole.
    """
    salts = {before.salt, now.salt}
    owners = {mark: title(each) for each in identities(before) for mark in marks(each, salts)}

    def both(old: Sequence[Entry], new: Sequence[Entry], join: Join[Entry]) -> tuple[Entry, ...]:
        there = {title(each): each for each in new}
        found = ((each, there[title(each)]) for each in old if title(each) in there)
        joined = (a if a == b else join(a, b) for a, b in found if is_own(b))
        return tuple(each for each in joined if each)

    def is_own(new: Identity) -> bool:
        return all(owners.get(mark, title(new)) == title(new) for mark in marks(new, salts))

    left = before.model_copy(
        update={
            "salt": now.salt,  # of the digests in the new definitions
            "tenants": both(before.tenants, now.tenants, join_tenants),
            "keys": both(before.keys, now.keys, join_keys),
            "issuers": both(before.issuers, now.issuers, join_issuers),
            "services": both(before.services, now.services, join_services),
        }
    )
    if not count_withdrawn(before, left):
        return before
    whole, _, _ = before.version.partition(LESS)
    return left.at(f"{whole}{LESS}{now.version}", before.sources)


def is_withdrawn(version: str, now: str = "") -> bool:
    """Tell whether this is a version less what `now`, or any other, takes away."""
    _, less, taken = version.partition(LESS)
    return bool(less) and taken.startswith(now)


def count_withdrawn(before: Policy, left: Policy) -> int:
    """How many identities of `before` are not there as they were. Under another salt no key is."""
    same = {
        title(each): each
        for each in identities(left)
        if before.salt == left.salt or not isinstance(each, KeyPolicy | ServicePolicy)
    }
    return sum(same.get(title(each)) != each for each in identities(before))


def identities(policy: Policy) -> Iterable[Identity]:
    yield from policy.tenants
    yield from policy.keys
    yield from policy.issuers
    yield from policy.services


def title(entry: Identity) -> tuple[type[Identity], str]:
    """What makes it the same in two policies."""
    return type(entry), entry.id if isinstance(entry, KeyPolicy) else entry.name


def marks(entry: Identity, salts: Iterable[str]) -> Iterable[str]:
    """What credentials are known by: what was one's must not become another's with the rights of before. Of keys under
    two salts nobody can tell."""
    if isinstance(entry, KeyPolicy):
        return (entry.digest, *(old.digest for old in entry.retiring))
    if isinstance(entry, ServicePolicy):
        return [digest(salt, entry.token.reveal()) for salt in salts]
    return (entry.issuer,) if isinstance(entry, IssuerPolicy) else ()


def join_tenants(before: TenantPolicy, now: TenantPolicy) -> TenantPolicy:
    projects = tuple(project for project in before.projects if project in now.projects)
    return before.model_copy(update={"projects": projects})


def join_keys(before: KeyPolicy, now: KeyPolicy) -> KeyPolicy | None:
    if (before.tenant, before.project, before.user) != (now.tenant, now.project, now.user):
        return None
    credential = {
        "digest": now.digest,
        "retiring": now.retiring,
        "expires": now.expires,
        "cidrs": now.cidrs,
    }
    return before.model_copy(update=credential)


def join_issuers(before: IssuerPolicy, now: IssuerPolicy) -> IssuerPolicy | None:
    audiences = tuple(each for each in before.audiences if each in now.audiences)
    who = [(each.issuer, each.claims, each.tenant) for each in (before, now)]
    if who[0] != who[1] or not audiences:
        return None
    # The other way round, so that whatever depends on `verified_by` comes from one and the same.
    rights = {"models": before.models, "groups": before.groups}
    return now.model_copy(update={**rights, "audiences": audiences})


def join_services(before: ServicePolicy, now: ServicePolicy) -> ServicePolicy:
    if "*" in now.tenants:
        tenants = before.tenants
    elif "*" in before.tenants:
        tenants = now.tenants
    else:
        tenants = tuple(tenant for tenant in before.tenants if tenant in now.tenants)
    return before.model_copy(update={"tenants": tenants, "token": now.token})
