"""The limits that ship as an example: each row does what it says."""

from pathlib import Path

import pytest

from extproc.counting.counted import Counted
from extproc.decision import Deny, Outcome
from extproc.filters.limits import Limits
from extproc.policy.load import load, load_sources
from extproc.request import Body, Identity, Kind, Model, Operation, Prompt, Request
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.memory import MemoryLimitMeter
from tests.extproc.requests import bare

SHIPPED = Path(__file__).parents[3] / "extproc" / "policy" / "examples" / "limits"
MINUTE_S, DAY_S = 60, 86400


class Team:
    """The example in force, one limit of it at a time, with a clock that is moved by hand."""

    def __init__(self, name):
        self.now_us = 1_800_000_000 * 10**6
        self.counters = MemoryCounters(lambda: self.now_us)
        self.reaches = [each.reach() for each in load([SHIPPED]).limits if each.name == name]
        assert len(self.reaches) == 1
        meter = MemoryLimitMeter()
        self.filter = Limits(self.reaches, self.counters, meter, clock=lambda: 1.8e9)
        self.number = 0

    def after(self, seconds):
        self.now_us += round(seconds * 10**6)

    async def ask(self, tokens=100, who="acme/alice", model="m", price="10/10/10"):
        """One request of so many tokens. The limit that refuses it, or the request itself."""
        self.number += 1
        tenant, user = who.split("/")
        request = (
            bare(settle_key=f"k{self.number}")
            .having(Operation(Kind.CHAT))
            .having(Identity(tenant, f"key-of-{user}", user=user))
            .having(Body(b""))
            .having(Prompt({}, model))
            .having(Model(model, "p", model, price=price))
            .having(Counted(tokens, "tokenizer"))
        )
        decision = await self.filter.decide(request)
        return decision.headers["x-headgate-limit"] if isinstance(decision, Deny) else decision

    async def end(self, request, **usage):
        witness = {**request.witness(), "settle_key": request.settle_key}
        await self.filter.settle(Outcome(witness, 200, 1, (), usage))


async def test_user_tpm_is_an_allowance_that_grows_back():
    team = Team("user-tpm")
    for _ in range(10):
        assert isinstance(await team.ask(100), Request)
    assert await team.ask(1) == "user-tpm"
    assert isinstance(await team.ask(1000, "acme/bob"), Request), "another user has another count"
    team.after(6)
    assert isinstance(await team.ask(100), Request), "a tenth of a minute, a tenth of the tokens"
    assert await team.ask(1) == "user-tpm"


async def test_user_tpd_holds_in_any_24_hours():
    team = Team("user-tpd")
    assert isinstance(await team.ask(30_000), Request)
    team.after(DAY_S / 2)
    assert isinstance(await team.ask(20_000), Request)
    assert await team.ask(1) == "user-tpd"
    team.after(DAY_S / 2 - 1)
    assert await team.ask(1) == "user-tpd", "midnight is nothing to a window"
    team.after(DAY_S / 40)
    assert isinstance(await team.ask(30_000), Request)
    assert await team.ask(1) == "user-tpd"


async def test_model_concurrency_counts_what_runs_now():
    team = Team("model-concurrency")
    held = [await team.ask(who=f"t{n}/u") for n in range(10)]
    assert await team.ask() == "model-concurrency"
    assert isinstance(await team.ask(model="other"), Request), "each model has its own"
    await team.end(held[3], prompt_tokens=1)
    assert isinstance(await team.ask(), Request)
    assert await team.ask() == "model-concurrency"


async def test_global_rate_drains_evenly_and_is_everybodys():
    team = Team("global-rate")
    assert isinstance(await team.ask(6000, "acme/alice"), Request)
    assert isinstance(await team.ask(4000, "globex/bob"), Request)
    assert await team.ask(1, "initech/eve") == "global-rate"
    team.after(0.25)
    assert isinstance(await team.ask(2500, "initech/eve"), Request)
    assert await team.ask(1) == "global-rate"


async def test_key_qps():
    team = Team("key-qps")
    assert all([isinstance(await team.ask(), Request) for _ in range(20)])
    assert await team.ask() == "key-qps"
    assert isinstance(await team.ask(who="acme/bob"), Request)
    team.after(0.05)
    assert isinstance(await team.ask(), Request)
    assert await team.ask() == "key-qps"


async def test_tenant_calls():
    team = Team("tenant-calls")
    limit, scope = team.reaches[0].limit, "acme"
    (before,) = await team.counters.look([(limit, scope)])
    for user in ("alice", "bob", "eve"):
        await team.ask(who=f"acme/{user}")
    (after,) = await team.counters.look([(limit, scope)])
    assert (before.remaining, after.remaining) == (100_000, 99_997)


async def test_tenant_budget_is_of_the_month_and_in_dollars():
    team = Team("tenant-budget")
    for _ in range(5):
        request = await team.ask(10**7)
        await team.end(request, prompt_tokens=10**7)
    assert await team.ask(100) == "tenant-budget", "five times 100 dollars"
    assert isinstance(await team.ask(100, "globex/bob"), Request)
    team.after(31 * DAY_S)
    assert isinstance(await team.ask(100), Request)


def test_it_is_a_dozen_lines_and_every_row_has_its_test():
    (path,) = SHIPPED.glob("*.yaml")
    written = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert len(written) <= 12
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    for limit in load([SHIPPED]).limits:
        assert any(name.startswith(limit.name.replace("-", "_")) for name in tests), limit.name


@pytest.mark.parametrize("path", sorted(SHIPPED.parent.rglob("*.yaml")), ids=lambda p: p.name)
def test_every_example_loads(path):
    assert load_sources({path: path.read_bytes()}).version
