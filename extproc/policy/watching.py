"""From a policy to what the watch process is to look at. Pure."""

from collections.abc import Mapping, Sequence

from engines.watch import config
from engines.watch.messages import Member
from extproc.policy.catalog import PoolPolicy
from extproc.policy.discovery import KvEventsPolicy, SourcePolicy
from extproc.policy.models import Policy


def watch_config(policy: Policy) -> config.Config:
    """Compile the pools. There is nothing to look at of those that are served elsewhere."""
    pools = tuple(watched(pool) for pool in policy.pools if not pool.upstream)
    return config.Config(policy.version, pools)


def watched(pool: PoolPolicy) -> config.Pool:
    return config.Pool(
        name=pool.name,
        engine=pool.engine,
        static=tuple(
            config.Static(each, pool.endpoint_roles.get(each, "both")) for each in pool.endpoints
        ),
        dns=tuple(dns(source) for source in pool.discover if source.dns),
        kubernetes=tuple(kubernetes(source) for source in pool.discover if source.kubernetes),
        kv_events=kv_events(pool.kv_events) if pool.kv_events else None,
    )


def dns(source: SourcePolicy) -> config.Dns:
    named = source.dns
    assert named is not None
    return config.Dns(named.host, named.port, named.interval_s, source.role)


def kubernetes(source: SourcePolicy) -> config.Kubernetes:
    named = source.kubernetes
    assert named is not None
    return config.Kubernetes(
        namespace=named.namespace,
        service=named.service,
        port=named.port,
        api=str(named.api or "").rstrip("/"),
        token_file=str(named.token_file or ""),
        ca_file=str(named.ca_file or ""),
        role=source.role,
    )


def kv_events(policy: KvEventsPolicy) -> config.KvEvents:
    return config.KvEvents(policy.port, policy.replay_port or 0, policy.ranks)


def static_members(policy: Policy) -> Mapping[str, tuple[Sequence[Member], bool]]:
    """For `EnginesView.track`: what the policy itself names in each pool, and whether others name more."""
    return {
        pool.name: (
            [Member(each, role=pool.endpoint_roles.get(each, "both")) for each in pool.endpoints],
            bool(pool.discover),
        )
        for pool in policy.pools
        if not pool.upstream
    }


def joined(policy: Policy, members: Mapping[str, Sequence[str]]) -> Policy:
    """Add what was found to the pools that discover endpoints: they are as if the policy named them."""
    pools = tuple(
        pool.model_copy(
            update={"endpoints": tuple(dict.fromkeys([*pool.endpoints, *members[pool.name]]))}
        )
        if pool.discover and pool.name in members
        else pool
        for pool in policy.pools
    )
    return policy.model_copy(update={"pools": pools})
