"""What a new policy takes away, in force while the rest of it waits: a revoked key must not work on because a pool
is late. Pure.

What is left of the policy of before has its rules, and those identities that both policies have, each as the new one
defines it: whether a change narrows need not be judged, and a key that was just rotated works as it will. So nobody is
let in whom the new policy does not know, and nobody gets there sooner by being new.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from extproc.policy.identities import IssuerPolicy, KeyPolicy, ServicePolicy, TenantPolicy
from extproc.policy.models import Policy

LESS = "-"
"""Between two versions: `A-B` is A, less what B takes away. It is neither of them, so it bears neither's name: a row of
the ledger that says A was judged by all of A. And it has no third part, however many policies have waited in the
meantime: whoever is let in is defined as in B, under the rules of A."""

Entry = TypeVar("Entry", bound=TenantPolicy | KeyPolicy | IssuerPolicy | ServicePolicy)


def withdrawn(before: Policy, now: Policy) -> Policy:
    """Take from `before`, which is in force, the identities that `now` does not have, or not so; `before` itself when
    there are none.

    What services and issuers name may be missing: they are refused when they act for it. A key needs its tenant and
    project, or is left out. The sources are those of `before`: a worker that starts while the files are broken
    serves that one whole.
    """
    tenants = [common(old, new) for old, new in pairs(before.tenants, now.tenants)]
    projects = {tenant.name: tenant.projects for tenant in tenants}
    keys = [key for _, key in pairs(before.keys, now.keys) if has_home(key, projects)]
    left = before.model_copy(
        update={
            "salt": now.salt,  # of the digests in the new definitions
            "tenants": tuple(tenants),
            "keys": tuple(keys),
            "issuers": tuple(new for _, new in pairs(before.issuers, now.issuers)),
            "services": tuple(new for _, new in pairs(before.services, now.services)),
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
        (type(each), name_of(each)): each
        for each in identities(left)
        if before.salt == left.salt or not isinstance(each, KeyPolicy | ServicePolicy)
    }
    return sum(same.get((type(each), name_of(each))) != each for each in identities(before))


def identities(policy: Policy) -> Iterable[TenantPolicy | KeyPolicy | IssuerPolicy | ServicePolicy]:
    yield from policy.tenants
    yield from policy.keys
    yield from policy.issuers
    yield from policy.services


def pairs(before: Sequence[Entry], now: Sequence[Entry]) -> Iterable[tuple[Entry, Entry]]:
    """What both have, in the order of before."""
    there = {name_of(each): each for each in now}
    return ((each, there[name_of(each)]) for each in before if name_of(each) in there)


def name_of(entry: TenantPolicy | KeyPolicy | IssuerPolicy | ServicePolicy) -> str:
    return entry.id if isinstance(entry, KeyPolicy) else entry.name


def common(before: TenantPolicy, now: TenantPolicy) -> TenantPolicy:
    """The new definition, with the projects that it had: the rules in force know no others."""
    projects = tuple(project for project in before.projects if project in now.projects)
    return now.model_copy(update={"projects": projects})


def has_home(key: KeyPolicy, projects: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether there is a tenant, and a project, that whatever it spends can be written down to."""
    return key.tenant in projects and (not key.project or key.project in projects[key.tenant])
