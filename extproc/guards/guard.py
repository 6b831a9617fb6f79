"""One worker's guard: collects what counts against clients, and bans who has too much of it."""

import asyncio
import contextlib
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from alerts.alert import Alert
from extproc.decision import Outcome
from extproc.errors import CountersFaultError
from extproc.guards.base import Barred, Case, Growth, GuardMeter
from extproc.guards.notice import notice
from extproc.guards.rules import PromptRule, RefusalRule
from extproc.guards.tally import Pair, add_all
from extproc.guards.view import View
from extproc.limits.base import LARGEST, Counters, Limit
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

BEGIN_TRIES = 10
TURN_S = 0.5
"""Between two turns. A ban is known to every worker within two of them: its own, and the next of
theirs."""
MOST_COLLECTED = 10_000
"""Subjects between two turns; who comes after them is not counted in this turn."""
MOST_COUNTED = 500
"""Subjects counted in one turn: those with the most refusals. So many fresh ones in every turn hold 60 000
windows of a minute, which leaves room for limits where those are counted in memory."""


@dataclass(slots=True)
class Refusals:
    """Of one subject since the last turn."""

    rule: RefusalRule
    tenant: str
    count: int = 0
    last: str = ""
    """The code of the last one."""


@dataclass(slots=True)
class Prompts:
    """Of one subject since the last turn."""

    rule: PromptRule
    tenant: str
    count: int = 0
    long: int = 0


class Guard:
    """Outlives policies: the rules come with what is collected."""

    def __init__(
        self,
        counters: Counters,
        view: View,
        meter: GuardMeter,
        alert: Callable[[Alert], object] = lambda _: None,
    ) -> None:
        self._counters = counters
        self._alert = alert
        self._refusals: dict[str, Refusals] = {}
        self._prompts: dict[str, Prompts] = {}
        self.view = view
        self.meter = meter
        self.on = False
        """Whether the policy in force has guards. While it has none, nobody is asked for bans."""

    def refused(self, rule: RefusalRule, outcome: Outcome) -> None:
        """Collect a refusal, if it counts. Whoever is banned is not counted again."""
        subject = rule.blame(outcome)
        if not subject or self.view.find(Barred.REQUESTS, subject):
            return
        found = self._refusals.get(subject)
        if found is None:
            if len(self._refusals) >= MOST_COLLECTED:
                return
            tenant = str(outcome.witness.get("tenant", ""))
            found = self._refusals[subject] = Refusals(rule, tenant)
        found.rule, found.last = rule, str(outcome.witness["deny"])
        found.count += 1

    def prompted(self, rule: PromptRule, outcome: Outcome) -> None:
        """Collect a prompt, if it counts. While long ones are refused, none does."""
        measured = rule.measure(outcome)
        if measured is None or self.view.find(Barred.LONG_PROMPTS, measured[0]):
            return
        subject, long = measured
        found = self._prompts.get(subject)
        if found is None:
            if len(self._prompts) >= MOST_COLLECTED:
                return
            tenant = str(outcome.witness.get("tenant", ""))
            found = self._prompts[subject] = Prompts(rule, tenant)
        found.rule = rule
        found.count += 1
        found.long += long

    async def begin(self) -> None:
        """Learn whom others have banned, before the first request comes: a worker that was killed must
        not let them in again. Without the store that takes half a second, and goes on."""
        for _ in range(BEGIN_TRIES):
            if not self.on or await self.view.refresh():
                return
            await asyncio.sleep(TURN_S / BEGIN_TRIES)

    async def run(self) -> None:
        """Take a turn twice a second, until cancelled."""
        while True:
            if self.on:
                await self.turn()
            await asyncio.sleep(TURN_S)

    async def turn(self) -> None:
        """Count what was collected, ban who has too much, learn of others' bans."""
        refusals, self._refusals = self._refusals, {}
        prompts, self._prompts = self._prompts, {}
        try:
            await self._judge_refusals(refusals)
            await self._judge_prompts(prompts)
        except CountersFaultError as fault:
            log.warning(Event.COUNTERS_DOWN, reason=str(fault))
        await self.view.refresh()
        self.meter.in_force(self.view.counts())

    async def _judge_refusals(self, collected: dict[str, Refusals]) -> None:
        most = heapq.nlargest(MOST_COUNTED, collected.items(), key=lambda item: item[1].count)
        amounts: dict[Pair, int] = {(one.rule.limit, who): one.count for who, one in most}
        levels = await add_all(self._counters, amounts)
        for who, one in most:
            rule = one.rule
            if levels[rule.limit, who].remaining < 0:
                limit = rule.limit
                why = f"{limit.amount} refusals in {limit.period_s} s, the last {one.last}"
                case = Case(who, why=f"more than {why}", shadow=rule.shadow)
                await self._ban(case, rule.growth, one.tenant, [limit])

    async def _judge_prompts(self, collected: dict[str, Prompts]) -> None:
        most = heapq.nlargest(MOST_COUNTED, collected.items(), key=lambda item: item[1].long)
        amounts: dict[Pair, int] = {(one.rule.all, who): one.count for who, one in most}
        amounts |= {(one.rule.long, who): one.long for who, one in most if one.long}
        levels = await add_all(self._counters, amounts)
        for who, one in most:
            rule = one.rule
            level = levels.get((rule.long, who))
            if level is None or not level.shared:
                continue  # a share of this process's own says little, and nobody is in danger
            requests, long = (
                LARGEST - levels[each, who].remaining for each in (rule.all, rule.long)
            )
            if rule.is_too_much(requests, long):
                why = f"{long} of {requests} prompts above {rule.tokens} tokens"
                case = Case(who, Barred.LONG_PROMPTS, why, rule.shadow)
                await self._ban(case, rule.growth, one.tenant, [rule.all, rule.long])

    async def _ban(self, case: Case, growth: Growth, tenant: str, counted: Iterable[Limit]) -> None:
        """Ban, tell, and begin counting anew for the time after."""
        ban = await self.view.ban(case, growth)
        if ban:
            self.meter.banned(case)
            log.warning(
                Event.BANNED,
                subject=case.subject,
                barred=case.barred.value,
                for_s=round(ban.left_s, 3),
                times=ban.times,
                why=case.why,
                shadow=case.shadow,
            )
            self._alert(notice(ban, tenant))
        # What stays counted in an outage is over within a window.
        with contextlib.suppress(CountersFaultError):
            for limit in counted:
                await self._counters.reset(limit.name, case.subject)
