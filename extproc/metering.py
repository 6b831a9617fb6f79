"""Our numbers in Prometheus: `ports.Meter` over `telemetry`."""

from prometheus_client import CollectorRegistry

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
