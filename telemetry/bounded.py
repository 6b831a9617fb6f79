"""Metric families that cannot grow without end.

A thin typed layer over prometheus_client. A label value can come from outside (a model name, a
tenant), and each new set of values is memory here and in Prometheus for good. So a family takes a
fixed number of label sets; what comes after them is counted under the label value `other`.
Nothing is lost from a sum, and an attack costs nothing.

Cost: one dict look-up, then prometheus_client's own addition (0.3 us, in worker processes 1 us).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import nan
from typing import Generic, Literal, TypeVar

import prometheus_client
from prometheus_client.values import MutexValue, ValueClass

MAX_LABEL_SETS = 1_000
"""Label sets of one metric, `other` included. A histogram of 15 buckets then has 17 000 series,
about what a small Prometheus still takes from one target without anyone noticing."""

RESERVED = 50
"""Label sets kept for folding, so that the fixed labels of folded sets stay apart."""

OTHER = "other"
PREFIX = "headgate_"


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table in `metrics.py`."""

    name: str
    """Without the prefix."""
    unit: str
    labels: tuple[str, ...] = ()
    help: str = field(kw_only=True)
    fixed: tuple[str, ...] = ()
    """Labels with a small vocabulary of ours; they keep their value when a set is folded."""
    buckets: tuple[float, ...] = ()
    """Histograms only."""
    across: Literal["livesum", "livemin", "livemax"] = "livesum"
    """Gauges only: how the values of several workers become one."""

    @property
    def full_name(self) -> str:
        return PREFIX + self.name


C = TypeVar("C")


class _Family(Generic[C]):
    """The children of one metric by label values; folds what would be too many."""

    __slots__ = ("_children", "_fixed", "_limit", "_make")

    def __init__(self, metric: Metric, limit: int, make: Callable[[tuple[str, ...]], C]) -> None:
        self._fixed = tuple(label in metric.fixed for label in metric.labels)
        self._limit = limit
        self._make = make
        self._children: dict[tuple[str, ...], C] = {}

    def child(self, values: tuple[str, ...]) -> C:
        found = self._children.get(values)
        return self._admit(values) if found is None else found

    def drop(self, values: tuple[str, ...]) -> bool:
        return self._children.pop(values, None) is not None

    def _admit(self, values: tuple[str, ...]) -> C:
        if len(self._children) >= self._limit - RESERVED:
            values = self._folded(values)
        found = self._children.get(values)
        if found is None:
            found = self._children[values] = self._make(values)
        return found

    def _folded(self, values: tuple[str, ...]) -> tuple[str, ...]:
        folded = tuple(
            value if fixed else OTHER for value, fixed in zip(values, self._fixed, strict=True)
        )
        if folded in self._children or len(self._children) < self._limit - 1:
            return folded
        return (OTHER,) * len(values)


class Counter:
    """Only grows."""

    def __init__(
        self,
        metric: Metric,
        registry: prometheus_client.CollectorRegistry,
        limit: int = MAX_LABEL_SETS,
    ) -> None:
        parent = prometheus_client.Counter(
            metric.full_name, metric.help, metric.labels, registry=registry
        )
        self._family = _Family(metric, limit, lambda v: parent.labels(*v) if v else parent)

    def add(self, *values: str, amount: float = 1.0) -> None:
        self._family.child(values).inc(amount)


class Gauge:
    """A level."""

    def __init__(
        self,
        metric: Metric,
        registry: prometheus_client.CollectorRegistry,
        limit: int = MAX_LABEL_SETS,
    ) -> None:
        self._parent = parent = prometheus_client.Gauge(
            metric.full_name,
            metric.help,
            metric.labels,
            registry=registry,
            multiprocess_mode=metric.across,
        )
        self._family = _Family(metric, limit, lambda v: parent.labels(*v) if v else parent)

    def set(self, value: float, *values: str) -> None:
        self._family.child(values).set(value)

    def forget(self, *values: str) -> None:
        """Show it no longer. Nothing can be taken out of a worker's file, so it is no number there, and
        `exposition.py` passes over it."""
        if ValueClass is not MutexValue:
            self.set(nan, *values)
        elif self._family.drop(values):
            self._parent.remove(*values)

    def add(self, *values: str, amount: float = 1.0) -> None:
        """Move the level. Unlike `set` it also sums up rightly over folded label sets."""
        self._family.child(values).inc(amount)


class Histogram:
    """A distribution, in the buckets the table names."""

    def __init__(
        self,
        metric: Metric,
        registry: prometheus_client.CollectorRegistry,
        limit: int = MAX_LABEL_SETS,
    ) -> None:
        parent = prometheus_client.Histogram(
            metric.full_name,
            metric.help,
            metric.labels,
            registry=registry,
            buckets=metric.buckets,
        )
        self._family = _Family(metric, limit, lambda v: parent.labels(*v) if v else parent)

    def observe(self, value: float, *values: str) -> None:
        self._family.child(values).observe(value)
