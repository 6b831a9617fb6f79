"""What `headgate up` writes for those beside it, and keeps as the policy has it: Envoy's pools, routes, endpoints
and keys, and what the settle and the watch process follow.

Workers follow the policy by themselves, some sooner than others. So new pools are added before any of them may choose one
(`extproc/stores/known_pools.py`), and those that are gone are taken away when none does any more: from the moment on that
they are not in the policy, nobody may choose them anew.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import monotonic

import msgspec

from dataplane.gateway import ConfigError, Files, Gateway, Pool, Sidecar
from dataplane.render import clusters, endpoints, render, routes, secret, write
from engines.watch.config import write_config as write_watch
from engines.watch.members import read_members
from extproc.arrive import HEADERS
from extproc.budget import MAX_BODY_BYTES
from extproc.cli.admin import TAKEN_S, Taken
from extproc.cli.changeover import Changeover, joint, places
from extproc.cli.processes import Plan
from extproc.policy.catalog import PoolPolicy
from extproc.policy.models import Policy
from extproc.policy.settling import settle_config
from extproc.policy.status import read_statuses
from extproc.policy.watching import joined, watch_config
from extproc.sidecars import SIDECARS
from ledger.config import write_config
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

MEMBERS_S = 0.2
"""How soon Envoy learns of an endpoint that was found. Workers may name it earlier: until then Envoy takes
another one."""
LINGER_S = 5.0
"""How long a pool that is gone stays once all workers serve the policy without it: streams go by the one they began
with."""
LOOK_S = 1.0
"""How often workers are asked whether they do."""
RETRY_S = 1.0
"""How soon what Envoy refused, or had no time for, is tried again, and then ever more seldom: it is read as a whole each
time, which takes half a second. Workers hold a policy back that much longer."""
MOST_DOUBLED = 6


class Published:
    """The files, as of the policy in force."""

    def __init__(
        self, plan: Plan, policy: Policy, linger_s: float = LINGER_S, taken_s: float = TAKEN_S
    ) -> None:
        """`taken_s`: how long Envoy may take for each of its files."""
        self._plan = plan
        self._linger_s = linger_s
        self._policy = policy
        self._gone: Mapping[str, PoolPolicy] = {}
        """Pools that are not in the policy any more, as long as workers may choose them."""
        self._members: Mapping[str, Sequence[str]] = {}
        self._complaint = ""
        self._refused = ""
        self._refusals = 0
        self._settled_at = monotonic()
        """Since when no worker chooses what is gone."""
        self._news = asyncio.Event()
        taken = Taken(plan.layout.admin_socket, taken_s)
        self._envoy = Changeover(gateway_of(plan, policy), taken, plan.layout.bootstrap, plan.envoy)

    async def begin(self) -> None:
        """Write everything, before anybody reads it. Raises: ConfigError."""
        layout = self._plan.layout
        gateway = self._envoy.served
        for pool in gateway.pools:
            write(endpoints(pool), gateway.endpoints_file(pool))
        write_keys(self._policy, gateway)
        write_config(layout.settle_config, settle_config(self._policy))
        write_watch(layout.watch_config, watch_config(self._policy))
        layout.members.unlink(missing_ok=True)
        await self._envoy.check(gateway)
        write(render(gateway, apart=True), layout.bootstrap)
        write(clusters(gateway), gateway.files.clusters)
        write(routes(gateway), gateway.files.routes)
        self._name()
        self._sweep_keys()

    def tell(self, policy: Policy) -> None:
        """Let Envoy, the settle and the watch process follow a changed policy: they notice the files
        that are renamed into place. Raises: ConfigError, OSError."""
        write_keys(policy, gateway_of(self._plan, policy))
        gone = {**self._gone, **{pool.name: pool for pool in self._policy.pools}}
        now = {pool.name for pool in policy.pools}
        self._gone = {name: pool for name, pool in gone.items() if name not in now}
        self._policy = policy
        self._settled_at = monotonic()
        self._write_watch()
        self._write_endpoints()
        self._news.set()

    async def follow(self) -> None:
        """Write for ever what the watch process finds, and pools that change."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_members())
            tasks.create_task(self._follow_pools())

    def _write_watch(self) -> None:
        """Workers that are held back choose among engines of before: those must be looked at as well."""
        pools = (*self._policy.pools, *self._gone.values())
        looked_at = self._policy.model_copy(update={"pools": pools})
        write_watch(self._plan.layout.watch_config, watch_config(looked_at))

    def _write_endpoints(self) -> None:
        policy = joined(self._policy, self._members)
        gateway = gateway_of(self._plan, policy)
        for pool in gateway.pools:
            write(endpoints(pool), gateway.endpoints_file(pool))
        write_config(self._plan.layout.settle_config, settle_config(policy))

    async def _follow_members(self) -> None:
        while True:
            try:
                found = read_members(self._plan.layout.members)
                if found != self._members:
                    self._members = found
                    self._write_endpoints()
            except (OSError, msgspec.MsgspecError, ConfigError) as fault:
                if str(fault) != self._complaint:
                    log.error(Event.MEMBERS_NOT_WRITTEN, reason=str(fault))
                self._complaint = str(fault)
            await asyncio.sleep(MEMBERS_S)

    async def _follow_pools(self) -> None:
        while True:
            is_new = await self._news_before(self._wait_s())
            try:
                await self._catch_up(may_go=self._look_for_rest_s() <= 0)
            except (ConfigError, OSError) as fault:
                # It is tried again after a while: Envoy may be starting, or the machine be slow.
                if str(fault) != self._refused:
                    log.error(Event.POOLS_REFUSED, reason=str(fault))
                self._refused = str(fault)
                self._refusals = 0 if is_new else self._refusals + 1

    def _wait_s(self) -> float | None:
        """How long Envoy may stay as it is; None: it has what the policy says."""
        if self._refused:
            return RETRY_S * 2.0 ** min(self._refusals, MOST_DOUBLED)
        if self._envoy.is_at(gateway_of(self._plan, self._policy)):
            return None
        return min(max(self._look_for_rest_s(), 0), LOOK_S)

    def _look_for_rest_s(self) -> float:
        """Look what workers serve: how long may they still choose what is gone from the policy?"""
        versions = {each.version for each in read_statuses(self._plan.layout.run)}
        if versions - {self._policy.version}:
            self._settled_at = monotonic()
        return self._settled_at + self._linger_s - monotonic()

    async def _catch_up(self, *, may_go: bool) -> None:
        """Let Envoy have the pools of the policy, and once all of them are there, no others, if those that are
        gone may go. Raises: ConfigError, OSError."""
        self._name()
        wanted, served = gateway_of(self._plan, self._policy), self._envoy.served
        if not may_go or not places(wanted.pools).items() <= places(served.pools).items():
            pools = joint(served.pools, wanted.pools)
            chains = wanted.falls_back or served.falls_back
            wanted = replace(wanted, pools=pools, falls_back=chains)
        if not self._envoy.is_at(wanted):
            await self._change(wanted)
        self._refused, self._refusals = "", 0
        self._sweep_keys()

    async def _change(self, wanted: Gateway) -> None:
        try:
            await self._envoy.go(wanted)
        finally:
            self._name()
        kept = places(wanted.pools)
        self._gone = {name: pool for name, pool in self._gone.items() if name in kept}
        self._write_watch()
        self._settled_at = monotonic()
        log.info(Event.POOLS_CHANGED, pools=list(kept))

    async def _news_before(self, wait_s: float | None) -> bool:
        """Wait for a changed policy; False when none came in time."""
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    def _name(self) -> None:
        """Tell workers which pools of the policy Envoy knows, and where they lead: `extproc/stores/known_pools.py`."""
        wanted, envoy = gateway_of(self._plan, self._policy), self._envoy
        sure = places(envoy.served.pools).items()
        named = places(wanted.pools).keys() - envoy.moving
        known = {name: place for name, place in sure if name in named}
        write(msgspec.json.encode(known).decode(), self._plan.layout.pools)

    def _sweep_keys(self) -> None:
        """Leave no key of a pool that is gone."""
        served = self._envoy.served
        pools = (*served.pools, *gateway_of(self._plan, self._policy).pools)
        kept = {served.secret_file(pool) for pool in pools}
        for path in served.files.secrets_dir.iterdir():
            if path not in kept:
                path.unlink()


def gateway_of(plan: Plan, policy: Policy) -> Gateway:
    """What Envoy has to know."""
    layout = plan.layout
    return Gateway(
        port=plan.port,
        xff_trusted_hops=plan.trusted_proxies,
        body_bytes=MAX_BODY_BYTES,
        shown_headers=HEADERS,
        address=plan.address,
        files=Files.under(layout.root),
        worker_sockets=tuple(layout.worker_socket(n) for n in range(plan.workers)),
        pools=tuple(map(pool_of, policy.pools)),
        falls_back=any(model.fallback for model in policy.models),
        sidecars=tuple(
            Sidecar(each.name, layout.sidecar_socket(each.name), each.timeout_s)
            for each in SIDECARS
        ),
    )


def pool_of(policy: PoolPolicy) -> Pool:
    """What Envoy has to know of a pool."""
    upstream = policy.upstream.where() if policy.upstream else None
    named = (*policy.endpoints, str(upstream)) if upstream else policy.endpoints
    labels = {each: policy.labels_of(each) for each in named}
    silence_s = policy.upstream.silence_s if policy.upstream else policy.silence_s
    return Pool(policy.name, policy.endpoints, labels, upstream, silence_s)


def write_keys(policy: Policy, gateway: Gateway) -> None:
    """Give Envoy the keys of services elsewhere, in files for this user only."""
    for given, pool in zip(policy.pools, gateway.pools, strict=True):
        if given.upstream and given.upstream.key:
            write(secret(pool, given.upstream.key.reveal()), gateway.secret_file(pool), 0o600)
