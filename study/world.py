"""One run in virtual time: requests, gateways, engines, and what each of them learns when.

Nothing here waits: time jumps from one event to the next. The same seed gives the same run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush

from engines.load import Load
from engines.sim.core import Changes, Core, Done, First
from engines.sim.profile import Profile
from engines.sim.sequence import Job
from extproc.routing.chance import draw
from study.draws import source
from study.gateway import Gateway, Sight
from study.measure import Record, Window
from study.threads import Ask, Source

HOP_S = 0.001
"""From gateway to engine, and back."""
NOTICE_S = 0.005
"""Until a gateway knows that an answer has ended: access log, settle, the other workers."""
KV_EVENT_S = 0.010
"""Until a KV event has arrived."""

Event = Callable[[float], None]
"""What happens, told when."""


class World:
    """Engines behind gateways; each request meets one of these by chance. For one run."""

    def __init__(
        self,
        pool: Mapping[str, Profile],
        gateways: Sequence[Gateway],
        sight: Sight,
        traffic: Source,
        expected_tokens: int,
    ) -> None:
        self.records: dict[str, Record] = {}
        self.held: dict[str, float] = dict.fromkeys(pool, 0.0)
        """Requests seen at each endpoint, added up over looks within the window."""
        self._names = list(pool)
        self._cores = {name: Core(each, kv_events=sight.is_precise) for name, each in pool.items()}
        self._due = dict.fromkeys(pool, -1.0)
        self._gateways, self._sight = gateways, sight
        self._traffic, self._expected_tokens = traffic, expected_tokens
        self._asks: dict[str, Ask] = {}
        self._events: list[tuple[float, int, Event]] = []
        self._number = 0

    def run(self, window: Window, seed: int) -> None:
        """Until the window's end."""
        self._expect(self._traffic.begin())
        for number, gateway in enumerate(self._gateways):
            phases = source("looks", seed, number)
            counts = window if number == 0 else None
            for name in self._names:
                at_s = phases.random() * self._sight.look_s
                self._at(at_s, partial(self._look, gateway, name, counts))
        events = self._events
        while events[0][0] < window.end_s:
            now_s, _, event = heappop(events)
            event(now_s)
        events.clear()  # they know this world, as it knows them: now it needs no collector

    def _at(self, at_s: float, event: Event) -> None:
        self._number += 1
        heappush(self._events, (at_s, self._number, event))

    def _expect(self, threads: Iterator[tuple[float, Ask]]) -> None:
        """One at a time: an open loop's have no end."""
        found = next(threads, None)
        if found is not None:
            at_s, ask = found
            self._at(at_s, partial(self._begin, ask, threads))

    def _begin(self, ask: Ask, threads: Iterator[tuple[float, Ask]], now_s: float) -> None:
        self._expect(threads)
        self._come(ask, now_s)

    def _come(self, ask: Ask, now_s: float) -> None:
        """A request meets a gateway, which sends it on."""
        gateway = self._gateways[draw(ask.key) % len(self._gateways)]
        choice = gateway.pick(ask, self._expected_tokens, now_s)
        endpoint = choice.endpoints[0]
        self._asks[ask.key] = ask
        self.records[ask.key] = Record(
            now_s, ask.prompt_tokens, endpoint, predicted_s=choice.predicted_s
        )
        self._at(now_s + HOP_S, partial(self._add, endpoint, ask))

    def _add(self, endpoint: str, ask: Ask, now_s: float) -> None:
        core = self._cores[endpoint]
        job = Job(
            key=ask.key,
            blocks=ask.blocks,
            prompt_tokens=ask.prompt_tokens,
            output_tokens=ask.completion_tokens,
        )
        core.add(job, now_s)
        self._follow(endpoint, core, now_s)

    def _step(self, endpoint: str, now_s: float) -> None:
        """The engine has come to where something happens, unless that has changed meanwhile."""
        if self._due[endpoint] == now_s:
            self._follow(endpoint, self._cores[endpoint], now_s)

    def _follow(self, endpoint: str, core: Core, now_s: float) -> None:
        """Tell everyone what an engine has done by now, and come back when it does something."""
        for event in core.run_to(now_s):
            if isinstance(event, First):
                record = self.records[str(event.key)]
                record.first_s = event.at_s + HOP_S
                record.cached_tokens = event.cached_tokens
            elif isinstance(event, Done):
                self._end(str(event.key), event)
        if self._sight.is_precise:
            self._publish(endpoint, core.kv_changes(), now_s)
        due_s = core.next_s()
        if due_s != self._due[endpoint]:
            self._due[endpoint] = due_s
            self._at(due_s, partial(self._step, endpoint))

    def _end(self, key: str, done: Done) -> None:
        record, ask = self.records[key], self._asks.pop(key)
        record.ended_s = done.at_s + HOP_S
        record.completion_tokens = done.tokens
        gateway = self._gateways[draw(key) % len(self._gateways)]
        self._at(record.ended_s + NOTICE_S, partial(self._tell, gateway, key))
        found = self._traffic.follow(ask, record.ended_s)
        if found is not None:
            at_s, ask = found
            self._at(at_s, partial(self._come, ask))

    @staticmethod
    def _tell(gateway: Gateway, key: str, _now_s: float) -> None:
        gateway.ended(key)

    def _publish(self, endpoint: str, changes: Changes, now_s: float) -> None:
        if changes.stored or changes.removed:
            for gateway in self._gateways:
                event = partial(self._change, gateway, endpoint, changes)
                self._at(now_s + KV_EVENT_S, event)

    @staticmethod
    def _change(gateway: Gateway, endpoint: str, changes: Changes, _now_s: float) -> None:
        gateway.changed(endpoint, changes.stored, changes.removed)

    def _look(self, gateway: Gateway, endpoint: str, counts: Window | None, now_s: float) -> None:
        load = self._cores[endpoint].load(now_s)
        self._at(now_s + self._sight.late_s, partial(self._see, gateway, endpoint, now_s, load))
        self._at(now_s + self._sight.look_s, partial(self._look, gateway, endpoint, counts))
        if counts is not None and counts.begin_s <= now_s < counts.stop_s:
            self.held[endpoint] += load.running + load.waiting

    @staticmethod
    def _see(gateway: Gateway, endpoint: str, at_s: float, load: Load, _now_s: float) -> None:
        gateway.look(endpoint, at_s, load)
