"""Our numbers in Prometheus: the meters of `ports`, and `QueueMeter`, over `telemetry`."""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry

from extproc.guards.base import Barred, Case
from extproc.guards.subjects import KINDS, kind_of
from extproc.limits.base import Charge, Settlement, Unit, Verdict
from telemetry.metrics import WorkerMetrics


class PrometheusMeter:
    """One per worker; the settle process adds the workers up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = WorkerMetrics(self.registry)

    def decided(self, outcome: str, seconds: float) -> None:
        self.metrics.decided(outcome, seconds)

    def filter_fault(self, name: str) -> None:
        self.metrics.filter_faults.add(name)

    def wire_fault(self, kind: str) -> None:
        self.metrics.wire_faults.add(kind)

    def reserved(self, charges: Sequence[Charge], verdict: Verdict) -> None:
        if verdict.degraded:
            self.metrics.limits_degraded.add(verdict.degraded)
        for charge, standing in zip(charges, verdict.standings, strict=False):
            name = charge.limit.name
            if standing.blocking:
                self.metrics.limits.add(name, "shadowed" if charge.limit.shadow else "refused")
            elif verdict.admitted and not verdict.repeated:
                self.metrics.limits.add(name, "admitted")

    def counted(self, ratio: float, model: str, counted_by: str) -> None:
        self.metrics.estimate_error.observe(ratio, model, counted_by)

    def waiting(self, priority: str, count: int) -> None:
        self.metrics.queue_length.set(count, priority)

    def waited(self, priority: str, seconds: float) -> None:
        self.metrics.queue_wait.observe(seconds, priority)

    def shed(self, priority: str, why: str) -> None:
        self.metrics.queue_shed.add(priority, why)

    def settled(self, settlement: Settlement) -> None:
        for limit in settlement.limits:
            scale = 1e-9 if limit.unit is Unit.USD else 1
            for kind in ("reserved", "used", "refunded", "overshoot"):
                if amount := getattr(limit, kind):
                    self.metrics.limit_amounts.add(limit.name, kind, amount=amount * scale)

    def looked(self, result: str, reason: str) -> None:
        self.metrics.cache.add(result, reason)

    def kept(self, result: str, size: int, seconds: float) -> None:
        self.metrics.cache_answers.add(result)
        self.metrics.cache_cpu.add(amount=seconds)
        if size:
            self.metrics.cache_bytes.add(amount=size)

    def evicted(self, count: int) -> None:
        self.metrics.cache_evicted.add(amount=count)

    def found(self, kind: str, action: str, count: int) -> None:
        self.metrics.pii.add(kind, action, amount=count)

    def attacked(self, family: str, speaker: str, action: str) -> None:
        self.metrics.firewall.add(family, speaker, action)

    def moderated(self, rule: str, where: str, action: str) -> None:
        self.metrics.moderated.add(rule, where, action)

    def asked(self, service: str, result: str) -> None:
        self.metrics.moderators.add(service, result)

    def banned(self, case: Case) -> None:
        result = "shadowed" if case.shadow else "enforced"
        self.metrics.bans.add(case.barred.value, kind_of(case.subject), result)

    def barred(self, case: Case) -> None:
        result = "shadowed" if case.shadow else "refused"
        self.metrics.banned_requests.add(case.barred.value, kind_of(case.subject), result)

    def in_force(self, counts: Mapping[tuple[Barred, str], int]) -> None:
        for barred in Barred:
            for kind in KINDS:
                self.metrics.bans_in_force.set(counts.get((barred, kind), 0), barred.value, kind)
