"""Who runs when. Variants take turns, and each round begins with another one."""

from collections.abc import Callable

from bench.measure import measure, options
from bench.plan import Plan, rotated
from bench.procfs import rss_bytes
from bench.runs import MemoryRun, Runs
from bench.sample import Sample
from bench.stack import Rig, Stack, Upstreams
from bench.upstream import POOL, STREAM_POOL, chat, http_request, stream_chat
from bench.variants import BARE, ECHO, FLOOR, HEADGATE, LOGGED, SETTLED

ALL = (BARE, LOGGED, ECHO, FLOOR, HEADGATE)
MEASURED_OPEN = (BARE, ECHO, FLOOR, HEADGATE)
MEASURED_STREAMS = (BARE, LOGGED, HEADGATE)
SETTLED_CONNECTIONS = 16
"""The settle process is measured where the ratio is."""


class Bench:
    """The phases, over running stacks."""

    def __init__(self, plan: Plan, rig: Rig, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._rig = rig
        self._say = say
        self._request = http_request(chat(), POOL)
        self.runs = Runs()

    async def start(self) -> Upstreams:
        upstreams = await self._rig.start_upstreams()
        self._stacks: dict[str, Stack] = {}
        for variant in (*ALL, SETTLED):
            self._say(f"starting {variant.title}")
            self._stacks[variant.name] = await self._rig.start(variant, upstreams)
        return upstreams

    async def closed(self) -> None:
        plan = self._plan
        for turn in range(plan.rounds):
            self._say(f"closed loop, round {turn + 1} of {plan.rounds}")
            for connections in plan.connections:
                for variant in rotated(ALL, turn):
                    await self._closed(variant.name, connections)
                if connections == SETTLED_CONNECTIONS:
                    await self._closed(SETTLED.name, connections)

    async def _closed(self, name: str, connections: int) -> None:
        plan = self._plan
        flags = options(connections=connections, warmup_s=plan.warmup_s, seconds=plan.closed_s)
        sample = await run(self._stacks[name], "closed", flags, self._request)
        self.runs.closed.setdefault((name, connections), []).append(sample)

    async def open_loop(self) -> None:
        plan = self._plan
        for turn in range(plan.open_rounds):
            self._say(f"open loop, round {turn + 1} of {plan.open_rounds}")
            for rate in plan.rates:
                flags = options(
                    connections=plan.open_connections,
                    rate=rate,
                    warmup_s=plan.warmup_s,
                    seconds=plan.open_s,
                )
                for variant in rotated(MEASURED_OPEN, turn):
                    stack = self._stacks[variant.name]
                    sample = await run(stack, "open", flags, self._request)
                    self.runs.open.setdefault((variant.name, rate), []).append(sample)

    async def streams(self) -> None:
        plan = self._plan
        flags = options(connections=plan.streams, warmup_s=plan.warmup_s, seconds=plan.stream_s)
        for turn in range(plan.stream_rounds):
            self._say(f"streams, round {turn + 1} of {plan.stream_rounds}")
            for variant in rotated(MEASURED_STREAMS, turn):
                stack = self._stacks[variant.name]
                decided = variant.worker is not None
                body = stream_chat(plan.stream_tokens, plan.itl_ms, asks_usage=not decided)
                before = await stack.ext_proc_messages()
                sample = await run(stack, "stream", flags, http_request(body, STREAM_POOL))
                self.runs.streams.setdefault(variant.name, []).append(sample)
                if decided:
                    exchanged = await stack.ext_proc_messages() - before
                    self.runs.messages_per_stream.append(exchanged / plan.streams)
            headgate = self._stacks[HEADGATE.name]
            idle = await run(headgate, "idle", options(seconds=plan.stream_s), b"")
            self.runs.idle.append(idle)

    async def memory(self, upstreams: Upstreams) -> None:
        """A stack of its own: a worker that has served for minutes would hide its growth."""
        plan = self._plan
        stack = await self._rig.start(HEADGATE, upstreams, "memory")
        connections = plan.memory_connections
        self._say(f"memory: {plan.memory_warmup} requests to warm up")
        flags = options(connections=connections, requests=plan.memory_warmup)
        await run(stack, "closed", flags, self._request)
        warm_bytes = rss_bytes(stack.pids["worker"])
        self._say(f"memory: {plan.memory_requests} more")
        flags = options(connections=connections, requests=plan.memory_requests)
        sample = await run(stack, "closed", flags, self._request)
        end_bytes = rss_bytes(stack.pids["worker"])
        self.runs.memory = MemoryRun(plan.memory_warmup, warm_bytes, sample.requests, end_bytes)


async def run(stack: Stack, mode: str, flags: list[str], request: bytes) -> Sample:
    return await measure(stack.port, stack.pids, mode, flags, request)
