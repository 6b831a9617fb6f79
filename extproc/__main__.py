"""One worker: `python -m extproc`, told what it needs by the environment (`settings.py`)."""

import asyncio
import gc
import secrets
import signal
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import uvloop

from alerts.outbox import Outbox
from audit.journal import AuditJournal
from extproc.budget import ByteBudget
from extproc.cache.base import Answers
from extproc.counting.lasting import Lasting
from extproc.decision import Outcome
from extproc.ejections import Ejections
from extproc.enginesview import EnginesView
from extproc.errors import PolicyError
from extproc.filters import Outside, build
from extproc.filters.caching import make_caching
from extproc.filters.governance import Governance
from extproc.filters.listening import Listening
from extproc.filters.standins import Standing
from extproc.guards.base import Bans
from extproc.guards.guard import Guard
from extproc.guards.view import View
from extproc.identity.jwks import KeyRings
from extproc.limits.base import Counters, Settlement
from extproc.limits.outages import Outages
from extproc.limits.waiting import Waiting
from extproc.metering import PrometheusMeter
from extproc.pipeline import Pipeline
from extproc.policy.last_good import LastGood
from extproc.policy.load import load_sources
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader
from extproc.policy.status import StatusFile
from extproc.policy.watch import Watch
from extproc.policy.watching import static_members
from extproc.policy.withdrawn import is_withdrawn
from extproc.rereading import Rereading
from extproc.routing.health import Watchdog
from extproc.server import Server
from extproc.settings import ACCESS_LOG, KNOWN_POOLS, Settings, SettingsError, inherited
from extproc.stores.bans_memory import MemoryBans
from extproc.stores.bans_redis import open_bans
from extproc.stores.beside import Beside
from extproc.stores.cache_memory import MemoryAnswers
from extproc.stores.cache_redis import DEADLINE_S as ANSWERS_DEADLINE_S
from extproc.stores.cache_redis import open_answers
from extproc.stores.classifiers import reach_classifier
from extproc.stores.counters_fallback import fall_back
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.counters_servers import open_servers
from extproc.stores.decisions import DIRECTORY, DecisionFiles
from extproc.stores.gateway import GatewayClient
from extproc.stores.journal import FileJournal
from extproc.stores.known_pools import KnownPools
from extproc.stores.redis_line import DEADLINE_S as COUNTERS_DEADLINE_S
from extproc.witness import CurrentPipeline
from telemetry.logs import Event, EventLog, start_logging

log = EventLog(__name__)


@dataclass(frozen=True, slots=True)
class Stores:
    """What workers share, if they share it."""

    counters: Counters
    outages: Outages
    """Of the counters."""
    bans: Bans
    answers: Answers


class Worker:
    """The composition root: the only place that picks implementations."""

    def __init__(self, settings: Settings, meter: PrometheusMeter, stores: Stores) -> None:
        """Raises: PolicyError, OSError."""
        self._settings = settings
        self._meter = meter
        metrics = self._meter.metrics
        self._watchdog = Watchdog()
        self._view = EnginesView(
            self._watchdog,
            metrics.endpoints_healthy,
            metrics.looks_stale.set,
        )
        self._decisions = DecisionFiles(
            settings.state / DIRECTORY,
            settings.listen,
            lambda result, count: metrics.decision_records.add(result, amount=count),
        )
        self._rings = KeyRings(metrics.jwks_refreshes.add)
        self._beside = Beside()
        self._asker = GatewayClient(settings.url) if settings.url else None
        journal = FileJournal(settings.state / "journal")
        self._audit = AuditJournal(settings.state)
        self._lasting = Lasting()
        alert = Outbox(settings.state / "alerts").put
        self._outages = stores.outages
        self._guard = Guard(stores.counters, View(stores.bans, MemoryBans()), meter, alert)
        self._waiting = Waiting(stores.counters, meter, worker=secrets.token_hex(8))
        self._caching = make_caching(stores.answers, meter)
        self._listening = Listening(self._lasting.client, self._view)
        self._outside = Outside(
            self._view,
            journal,
            self._rings,
            authority=self._beside.opa.at,
            standing=Standing(metrics.fallbacks.add, self._asker, metrics.cascaded),
            governance=Governance(stores.counters, self._lasting, meter, alert, self._waiting),
            guard=self._guard,
            caching=self._caching,
            decisions=self._decisions,
            count_pick=metrics.picks.add,
            detector=self._beside.detector.at,
            pii_meter=meter,
            firewall_meter=meter,
            moderator=self._beside.moderators.at,
            classifier=partial(reach_classifier, self._beside.moderators),
            moderation_meter=meter,
            audit=self._audit,
        )
        self._ejections = Ejections(metrics.endpoint_states, metrics.ejections)
        self._pools: Sequence[str] = ()
        reading = SecretReader(inherited()), self._lasting.vocabularies
        self._load = partial(load_sources, secrets=reading[0], vocabularies=reading[1])
        self._last_good = LastGood(settings.state / "policy-in-force.json")
        self._known_pools = KnownPools(settings.state / KNOWN_POOLS)
        self._begun = self._last_good.load(settings.policy, *reading, self._known_pools)
        self._status = StatusFile.begin(
            settings.state / "run", settings.listen, settings.policy, self._begun.version
        )
        self._current = CurrentPipeline(self._assemble(self._begun))
        self._budget = ByteBudget(settings.max_held_bytes)
        self._rereading = Rereading(settings.state / ACCESS_LOG, self._settle_again)
        self._server = Server(self._current, self._budget, self._meter, heard=self._rereading.ask)

    def _assemble(self, policy: Policy) -> Pipeline:
        self._caching.answers.most_bytes = policy.cache.most_bytes
        self._caching.keeper.likeness = self._listening.of(policy.cache)
        pipeline = Pipeline(build(policy, self._outside), policy.version, self._meter)
        self._outages.know([limit.reach() for limit in policy.limits])
        rules = {pool.name: pool.health.rules() for pool in policy.pools}
        self._watchdog.govern(rules, time.monotonic())
        self._view.track(static_members(policy))
        self._pools = [pool.name for pool in policy.pools]
        self._guard.on = policy.guards.on
        self._meter.metrics.serve_policy(policy.version)
        result = "narrowed" if is_withdrawn(policy.version) else "ok"
        self._meter.metrics.policy_reloads.add(result)
        self._last_good.keep(policy)
        return pipeline

    def _swap(self, policy: Policy) -> None:
        self._current.pipeline = self._assemble(policy)
        self._status.serve(policy.version)

    def _reject(self, error: PolicyError, version: str) -> None:
        self._meter.metrics.policy_reloads.add("rejected")
        self._status.reject(error, version)

    async def _settle_again(self, outcome: Outcome) -> None:
        await self._current.pipeline.settle_again(outcome)

    async def _tell_level(self) -> None:
        """Tell the level of held bytes once a second: at each request it would cost 2 us. And what
        there is to tell of engines."""
        while True:
            self._meter.metrics.request_bytes.set(self._budget.held)
            now_s = time.monotonic()
            self._status.ail(self._ejections.tell(self._watchdog, self._pools, now_s))
            await asyncio.sleep(1.0)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await self._guard.begin()
        async with asyncio.TaskGroup() as tasks:
            agreeing = tasks.create_task(self._known_pools.agree(self._begun))
            stopping = tasks.create_task(stop.wait())
            await asyncio.wait({agreeing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            agreeing.cancel()
            stopping.cancel()
        await self._server.start(self._settings.listen)
        log.info(Event.READY, listen=self._settings.listen, policy=self._begun.version)
        self._rereading.ask()
        watch = Watch(
            self._settings.policy,
            self._begun,
            self._swap,
            self._reject,
            self._load,
            self._known_pools.wait,
        )
        async with asyncio.TaskGroup() as tasks:
            beside = (
                tasks.create_task(self._view.run(self._settings.state)),
                tasks.create_task(self._rings.run()),
                tasks.create_task(self._tell_level()),
                tasks.create_task(self._guard.run()),
                tasks.create_task(self._waiting.run()),
                tasks.create_task(self._decisions.run()),
                tasks.create_task(self._caching.keeper.run()),
                tasks.create_task(self._audit.run()),
                tasks.create_task(self._rereading.run()),
                tasks.create_task(watch.run(self._settings.policy_poll_s)),
            )
            await stop.wait()
            log.info(Event.DRAINING)
            self._waiting.close()
            await self._server.drain()
            for task in beside:
                task.cancel()
        await self._beside.close()
        if self._asker:
            await self._asker.close()
        await self._lasting.close()
        self._listening.close()
        self._audit.close()
        self._status.close()
        log.info(Event.STOPPED)


@asynccontextmanager
async def counting(
    settings: Settings, meter: PrometheusMeter, outages: Outages
) -> AsyncGenerator[Counters]:
    """Have counters: shared ones, and while they cannot be reached those of this worker; without a
    server, those alone. Raises: ValueError, OSError when the server's URL makes no sense."""
    local = MemoryCounters()
    if not settings.redis:
        yield local
        return

    def hear(_key: str, late: Settlement) -> None:
        meter.settled(late)
        outages.end(late)

    deadline_s = settings.redis_deadline_s or COUNTERS_DEADLINE_S
    async with (
        open_servers(settings.redis.split(), deadline_s) as shared,
        fall_back(shared, local, settings.replicas, hear, begun=outages.begin) as both,
    ):
        yield both


@asynccontextmanager
async def keeping(settings: Settings) -> AsyncGenerator[Answers]:
    """Have a place for answers: a shared one, if there is a server. Raises: ValueError, OSError."""
    if not settings.redis:
        yield MemoryAnswers()
        return
    deadline_s = settings.redis_deadline_s or ANSWERS_DEADLINE_S
    async with open_answers(settings.redis.split()[0], deadline_s=deadline_s) as answers:
        yield answers


@asynccontextmanager
async def banning(settings: Settings) -> AsyncGenerator[Bans]:
    """Have a place for bans: a shared one, if there is a server. Raises: ValueError, OSError."""
    if not settings.redis:
        yield MemoryBans()
        return
    async with open_bans(settings.redis.split()[0]) as bans:
        yield bans


async def work() -> int:
    """Run one worker; return its exit code."""
    try:
        settings, meter = Settings.read(), PrometheusMeter()
        outages = Outages(Outbox(settings.state / "alerts").put)
        async with (
            counting(settings, meter, outages) as counters,
            banning(settings) as bans,
            keeping(settings) as answers,
        ):
            await Worker(settings, meter, Stores(counters, outages, bans, answers)).run()
    except (PolicyError, SettingsError, OSError, RuntimeError, ValueError) as exc:
        log.error(Event.GAVE_UP, reason=str(exc))
        return 1
    return 0


def main() -> int:
    start_logging("worker")
    # Parsed bodies hold no cycles, and the collector would walk the larger ones several times over:
    # half a million arrays took 98 ms to parse and refuse, 41 ms with these settings.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    # Long prompts are counted in threads; with Python's 5 ms one of them held the loop for 5-13 ms.
    sys.setswitchinterval(0.001)
    return uvloop.run(work())


if __name__ == "__main__":
    sys.exit(main())
