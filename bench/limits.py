"""What limits cost: reserving and settling over eight of them, in memory and in Redis.

`python -m bench.limits`, beside a plain INCR of redis-py in the same rounds: a machine that slows down
slows all of them down, and what counts are the ratios.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis.asyncio
import uvloop

from bench.procfs import cpu_s
from bench.stats import median, percentile
from extproc.cli.preflight import UpError, find_valkey
from extproc.limits.base import Algorithm, Calendar, Charge, Counters, Limit, Spent, Unit
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.counters_redis import open_counters
from extproc.stores.redis_address import read_url
from extproc.stores.redis_line import open_line

IN_FLIGHT = 64
GOAL = 2.0
"""Times a plain round trip, for the median of a reservation over eight buckets, one at a time."""
SPENT = Spent(prompt_tokens=300, completion_tokens=200, nano_usd=1000)
DEADLINE_S = 5.0
"""Nothing is to be given up here."""

Call = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    calls: int
    """Of each kind, in each round: one at a time, and as many again in flight together."""


DEFAULT, QUICK = Plan(rounds=10, calls=1500), Plan(rounds=2, calls=100)


@dataclass(slots=True)
class Figures:
    """What one kind of call took: seconds, over all rounds."""

    latencies: list[list[float]] = field(default_factory=list[list[float]])
    client_s: float = 0.0
    server_s: float = 0.0
    calls: int = 0
    together_s: float = 0.0
    together_calls: int = 0
    together_client_s: float = 0.0

    def p_us(self, share: float) -> float:
        every = sorted(one for latencies in self.latencies for one in latencies)
        return percentile(every, share) * 1e6

    def ratio(self, base: "Figures") -> float:
        """Median over the rounds of one median by the other."""
        pairs = zip(self.latencies, base.latencies, strict=True)
        return median([median(own) / median(others) for own, others in pairs])


def buckets() -> list[Limit]:
    return [
        Limit(
            name=f"bucket-{number}", algorithm=Algorithm.TOKEN_BUCKET, unit=Unit.TOKENS,
            amount=10**9, period_s=60,
        )
        for number in range(8)
    ]  # fmt: skip


def mixed() -> list[Limit]:
    """What one request may meet: two buckets, two windows, two semaphores, a rate, a budget."""
    window, concurrent = Algorithm.SLIDING_WINDOW, Unit.CONCURRENT
    rate, budget = Algorithm.LEAKY_BUCKET, Algorithm.BUDGET
    return [
        *buckets()[:2],
        Limit(name="day", algorithm=window, unit=Unit.TOKENS, amount=10**12, period_s=86_400),
        Limit(name="qps", algorithm=window, unit=Unit.REQUESTS, amount=10**9, period_s=60),
        Limit(name="rate", algorithm=rate, unit=Unit.TOKENS, amount=10**9, period_s=1),
        Limit(name="tenant", algorithm=Algorithm.SEMAPHORE, unit=concurrent, amount=10**5),
        Limit(name="model", algorithm=Algorithm.SEMAPHORE, unit=concurrent, amount=10**5),
        Limit(
            name="month", algorithm=budget, unit=Unit.USD, amount=10**15,
            calendar=Calendar.MONTH, alerts=(50, 80, 100),
        ),
    ]  # fmt: skip


def charge(limits: Sequence[Limit], number: int) -> list[Charge]:
    """Of one of a hundred users."""
    single = {Unit.CONCURRENT, Unit.REQUESTS}
    scope = f"acme/user-{number % 100}"
    return [Charge(limit, scope, 1 if limit.unit in single else 1000) for limit in limits]


def both(counters: Counters, name: str, limits: Sequence[Limit]) -> dict[str, Call]:
    """Reserve, then settle the same ones."""

    async def reserve(number: int) -> None:
        verdict = await counters.reserve(f"{name}{number}", charge(limits, number), 60)
        assert verdict.admitted

    async def settle(number: int) -> None:
        settlement = await counters.settle(f"{name}{number}", SPENT)
        assert settlement.state == "settled"

    return {f"{name}: reserve": reserve, f"{name}: settle": settle}


async def measure(call: Call, numbers: range, pid: int | None, figures: Figures) -> None:
    """One at a time, then many together: the first half of the numbers, and the second."""
    half = len(numbers) // 2
    client_s, server_s = time.process_time(), server_cpu_s(pid)
    latencies: list[float] = []
    for number in numbers[:half]:
        begun_s = time.perf_counter()
        await call(number)
        latencies.append(time.perf_counter() - begun_s)
    figures.latencies.append(latencies)
    figures.client_s += time.process_time() - client_s
    figures.server_s += server_cpu_s(pid) - server_s
    figures.calls += half
    rest = iter(numbers[half:])

    async def work() -> None:
        for number in rest:
            await call(number)

    begun_s, client_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    figures.together_s += time.perf_counter() - begun_s
    figures.together_client_s += time.process_time() - client_s
    figures.together_calls += half


def server_cpu_s(pid: int | None) -> float:
    return cpu_s({"server": pid})["server"] if pid else 0.0


@asynccontextmanager
async def serving(directory: Path) -> AsyncGenerator[tuple[Path, int]]:
    """A Valkey of its own, on a unix socket. Raises: UpError, OSError."""
    socket = directory / "v.sock"
    process = await asyncio.create_subprocess_exec(
        find_valkey(Path.cwd()),
        *("--port", "0", "--unixsocket", str(socket), "--dir", str(directory)),
        *("--save", "", "--loglevel", "warning"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(10):
            while not socket.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.01)
        yield socket, process.pid
    finally:
        process.kill()
        await process.wait()


async def run(plan: Plan) -> dict[str, Figures]:
    """Take all figures, round by round."""
    memory = MemoryCounters()
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        async with (
            serving(Path(directory)) as (socket, pid),
            open_counters(f"unix://{socket}", DEADLINE_S) as shared,
            open_line(read_url(f"unix://{socket}"), "{bench}", DEADLINE_S) as line,
            redis.asyncio.Redis(unix_socket_path=str(socket), max_connections=IN_FLIGHT) as plain,
        ):
            calls: dict[str, Call] = {
                "redis-py INCR": lambda _: plain.execute_command("INCR", "plain"),
                "our line INCR": lambda _: line.call(("INCR", "line")),
                **both(shared, "8 buckets", buckets()),
                **both(shared, "8 mixed", mixed()),
                **both(memory, "8 buckets in memory", buckets()),
                **both(memory, "8 mixed in memory", mixed()),
            }
            for turn in range(plan.rounds + 1):
                numbers = range(2 * turn * plan.calls, 2 * (turn + 1) * plan.calls)
                for name, call in calls.items():
                    figures = found.setdefault(name, Figures()) if turn else Figures()
                    await measure(call, numbers, pid, figures)
    return found


def to_text(found: dict[str, Figures]) -> str:
    """Render the table, and whether the goal is met."""
    base = found["redis-py INCR"]
    lines = [
        f"{'':30} {'one at a time':>38} {f'{IN_FLIGHT} in flight':>24}",
        (
            f"{'':30} {'p50 us':>8} {'p99 us':>8} {'x INCR':>7} {'CPU us':>6} {'server':>6}"
            f" {'calls/s':>9} {'CPU us':>8}"
        ),
    ]
    for name, one in found.items():
        lines.append(
            f"{name:30} {one.p_us(0.5):8.1f} {one.p_us(0.99):8.1f} {one.ratio(base):7.2f}"
            f" {one.client_s / one.calls * 1e6:6.1f} {one.server_s / one.calls * 1e6:6.1f}"
            f" {one.together_calls / one.together_s:9.0f}"
            f" {one.together_client_s / one.together_calls * 1e6:8.1f}"
        )
    ratio = found["8 buckets: reserve"].ratio(base)
    met = "met" if ratio <= GOAL else "missed"
    lines.append(f"\ngoal: reserving at most {GOAL:g} x a plain round trip: {ratio:.2f}: {met}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seconds, to see that it works")
    plan = QUICK if parser.parse_args(arguments).quick else DEFAULT
    try:
        found = uvloop.run(run(plan))
    except (UpError, OSError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(to_text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
