"""Every port in memory: the doubles that tests use, and nothing else does."""

from collections import Counter
from collections.abc import Mapping, Sequence

from extproc.conditions import Known
from extproc.errors import AuthorityError
from extproc.guards.base import Barred, Case
from extproc.limits.base import Charge, Settlement, Verdict
from extproc.ports import Ruling
from extproc.request import Request


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


class MemoryEngines:
    """All endpoints are healthy but the `sick` ones."""

    def __init__(self, sick: Sequence[str] = ()) -> None:
        self.sick = set(sick)

    def healthy(self, endpoints: Sequence[str]) -> Sequence[str]:
        return [endpoint for endpoint in endpoints if endpoint not in self.sick]

    def suspect(self, endpoint: str) -> None:
        self.sick.add(endpoint)


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
