"""The two shapes of `headgate epp`: picking alone, or everything that our own gateway does."""

import secrets
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from alerts.outbox import Outbox
from audit.journal import AuditJournal
from extproc import action
from extproc.__main__ import banning, counting
from extproc.counting.lasting import Lasting
from extproc.enginesview import EnginesView
from extproc.epp.full import build_full
from extproc.epp.pipeline import PickerRules, build
from extproc.epp.serving import Serving
from extproc.filter import Filter
from extproc.filters import Outside
from extproc.filters.governance import Governance
from extproc.guards.base import Bans
from extproc.guards.guard import Guard
from extproc.guards.view import View
from extproc.identity.jwks import KeyRings
from extproc.limits.base import Counters
from extproc.limits.outages import Outages
from extproc.limits.waiting import Waiting
from extproc.metering import PrometheusMeter
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader
from extproc.settings import Settings, inherited
from extproc.stores.bans_memory import MemoryBans
from extproc.stores.journal import FileJournal
from extproc.stores.opa import OpaClient

Beside = Sequence[Coroutine[None, None, None]]


class Shape(Protocol):
    """What a picker process is told to be."""

    serving: Serving
    secrets: SecretReader | None
    lasting: Lasting | None

    def build(self, policy: Policy) -> Sequence[Filter]:
        """Make the filters. Raises: PolicyError."""
        ...

    async def begin(self) -> None: ...

    def beside(self) -> Beside:
        """What has to run while it serves."""
        ...

    def leave(self) -> None:
        """Nobody may wait any more."""
        ...


class Picking:
    """No identity, no limits; secrets stay unread."""

    def __init__(self, rules: PickerRules, view: EnginesView) -> None:
        self.serving = Serving(tries=rules.tries)
        self.secrets: SecretReader | None = None
        self.lasting: Lasting | None = None
        self._rules = rules
        self._view = view

    def build(self, policy: Policy) -> Sequence[Filter]:
        return build(policy, self._rules, self._view)

    async def begin(self) -> None:
        """Nothing is needed first."""

    def beside(self) -> Beside:
        return ()

    def leave(self) -> None:
        """Nobody waits here."""


class Governing:
    """All filters that do not need our own Envoy."""

    def __init__(
        self,
        rules: PickerRules,
        state: Path,
        view: EnginesView,
        meter: PrometheusMeter,
        kept: tuple[Counters, Outages, Bans],
    ) -> None:
        counters, self._outages, bans = kept
        self.serving = Serving(action.forward, rules.tries, measures=True)
        self.secrets: SecretReader | None = SecretReader(inherited())
        self.lasting: Lasting | None = Lasting()
        self.opa = OpaClient()
        self._pool = rules.pool
        self._rings = KeyRings(meter.metrics.jwks_refreshes.add)
        alert = Outbox(state / "alerts").put
        self._guard = Guard(counters, View(bans, MemoryBans()), meter, alert)
        self._waiting = Waiting(counters, meter, worker=secrets.token_hex(8))
        self.audit = AuditJournal(state)
        self._outside = Outside(
            view,
            FileJournal(state / "journal"),  # not written: see `full.LEFT_OUT`
            self._rings,
            authority=self.opa.at,
            governance=Governance(counters, self.lasting, meter, alert, self._waiting),
            guard=self._guard,
            audit=self.audit,
        )

    def build(self, policy: Policy) -> Sequence[Filter]:
        built = build_full(policy, self._pool, self._outside)
        self._guard.on = policy.guards.on
        self._outages.know([limit.reach() for limit in policy.limits])
        return built

    async def begin(self) -> None:
        await self._guard.begin()

    def beside(self) -> Beside:
        return (self._rings.run(), self._guard.run(), self._waiting.run(), self.audit.run())

    def leave(self) -> None:
        self._waiting.close()


@asynccontextmanager
async def governing(
    rules: PickerRules, settings: Settings, view: EnginesView, meter: PrometheusMeter
) -> AsyncGenerator[Shape]:
    """Have counters and bans while it serves. Raises: ValueError, OSError."""
    outages = Outages(Outbox(settings.state / "alerts").put)
    async with counting(settings, meter, outages) as counters, banning(settings) as bans:
        shape = Governing(rules, settings.state, view, meter, (counters, outages, bans))
        try:
            yield shape
        finally:
            await shape.opa.close()
            shape.audit.close()
            if shape.lasting is not None:
                await shape.lasting.close()
