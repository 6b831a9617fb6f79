"""Every port in memory: the doubles that tests use, and nothing else does."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from engines.watch.messages import Ended, Picked, Used
from extproc.conditions import Known
from extproc.errors import AuthorityError
from extproc.guards.base import Barred, Case
from extproc.limits.base import Charge, Settlement, Verdict
from extproc.ports import Ruling
from extproc.request import Request
from extproc.routing.candidate import Candidate
from extproc.routing.condition import Condition
from extproc.routing.prefixes import Prefixes
from extproc.routing.record import DecisionRecord


class MemoryMeter:
    """Keeps what was counted."""

    def __init__(self) -> None:
        self.decisions: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def decided(self, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.decisions[outcome] += 1

    def filter_fault(self, name: str) -> None:
        self.faults[name] += 1

    def wire_fault(self, kind: str) -> None:
        self.faults[kind] += 1


class MemoryLimitMeter:
    """Keeps what limits said and did."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.settlements: list[Settlement] = []
        self.ratios: list[float] = []

    def reserved(self, charges: Sequence[Charge], verdict: Verdict) -> None:
        assert charges
        self.verdicts.append(verdict)

    def settled(self, settlement: Settlement) -> None:
        self.settlements.append(settlement)

    def counted(self, ratio: float, model: str, counted_by: str) -> None:
        assert model
        assert counted_by
        self.ratios.append(ratio)


class MemoryQueueMeter:
    """Keeps how many wait, how long they did, and who was not served."""

    def __init__(self) -> None:
        self.lengths: dict[str, int] = {}
        self.waits: list[tuple[str, float]] = []
        self.sheds: list[tuple[str, str]] = []

    def waiting(self, priority: str, count: int) -> None:
        assert count >= 0
        self.lengths[priority] = count

    def waited(self, priority: str, seconds: float) -> None:
        self.waits.append((priority, seconds))

    def shed(self, priority: str, why: str) -> None:
        self.sheds.append((priority, why))


class MemoryGuardMeter:
    """Keeps the bans that were made, and the requests that met one."""

    def __init__(self) -> None:
        self.bans: list[Case] = []
        self.requests: list[Case] = []
        self.counts: Mapping[tuple[Barred, str], int] = {}

    def banned(self, case: Case) -> None:
        self.bans.append(case)

    def barred(self, case: Case) -> None:
        self.requests.append(case)

    def in_force(self, counts: Mapping[tuple[Barred, str], int]) -> None:
        self.counts = counts


class MemoryJournal:
    """Keeps the requests; `broken` makes it fail like a full disk."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.broken = False

    def record(self, request: Request, policy: str) -> None:
        assert policy
        if self.broken:
            raise OSError(28, "No space left on device")
        self.requests.append(request)


class MemoryDecisions:
    """Keeps decision records."""

    def __init__(self) -> None:
        self.records: list[DecisionRecord] = []

    def put(self, record: DecisionRecord) -> None:
        self.records.append(record)


class MemoryEngines:
    """Pools whose endpoints are all well but the `sick` ones; keeps what it is told."""

    def __init__(
        self, pools: Mapping[str, Sequence[str]] | None = None, sick: Sequence[str] = ()
    ) -> None:
        named = pools or {}
        self.pools = {pool: [Candidate(each) for each in named[pool]] for pool in named}
        self.sick = set(sick)
        self.known: dict[str, Prefixes] = {}
        self.picks: list[Picked] = []
        self.ends: list[Ended] = []
        self.renewed: list[str] = []
        self._hear_end: Callable[[Ended], None] = lambda _ended: None
        self._hear_used: Callable[[Used], None] = lambda _used: None

    def candidates(self, pool: str, model: str = "") -> Sequence[Candidate]:
        del model
        return [each for each in self.pools.get(pool, ()) if each.endpoint not in self.sick]

    def prefixes(self, pool: str) -> Prefixes:
        return self.known.setdefault(pool, Prefixes())

    def knows(self, endpoint: str) -> bool:
        return any(each.endpoint == endpoint for named in self.pools.values() for each in named)

    def conditions(self, pool: str) -> Mapping[str, tuple[Condition, Sequence[str]]]:
        names = [each.endpoint for each in self.pools.get(pool, ())]
        return {e: ("open", ("refused",)) if e in self.sick else ("ready", ()) for e in names}

    def picked(self, picked: Picked) -> None:
        self.picks.append(picked)

    def ended(self, ended: Ended) -> None:
        self.ends.append(ended)
        self.sick.update(ended.failed)
        self._hear_end(ended)

    def tell_ends(self, hear: Callable[[Ended], None]) -> None:
        self._hear_end = hear

    def used(self, used: Used) -> None:
        self._hear_used(used)

    def tell_used(self, hear: Callable[[Used], None]) -> None:
        self._hear_used = hear

    def running(self, key: str) -> None:
        self.renewed.append(key)


class MemoryAuthority:
    """Rules the same for all, and keeps what it was told; without a ruling it is down."""

    def __init__(self, ruling: Ruling | None = None) -> None:
        self.ruling = ruling
        self.asked: list[Known] = []

    async def ask(self, known: Known) -> Ruling:
        self.asked.append(known)
        if self.ruling is None:
            raise AuthorityError("it is down")
        return self.ruling


class MemoryCacheMeter:
    """Keeps what the cache said, and what became of answers."""

    def __init__(self) -> None:
        self.looks: list[tuple[str, str]] = []
        self.answers: list[str] = []
        self.evictions = 0

    def looked(self, result: str, reason: str) -> None:
        self.looks.append((result, reason))

    def kept(self, result: str, size: int, seconds: float) -> None:
        assert (size > 0) == (result == "kept")
        assert seconds >= 0
        self.answers.append(result)

    def evicted(self, count: int) -> None:
        assert count > 0
        self.evictions += count
