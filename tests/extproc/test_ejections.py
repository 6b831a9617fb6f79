"""What people and Prometheus are told of endpoints."""

import pytest

from engines.watch.messages import Ended, Look, Member
from extproc.ejections import Ejections, read
from extproc.routing.breaker import BreakerRules
from extproc.routing.condition import HealthRules
from extproc.routing.health import Change, Watchdog
from telemetry.logs import Event


class Levels(dict):
    def set(self, value, *values):
        self[values] = value

    def forget(self, *values):
        del self[values]


class Counts(dict):
    def add(self, *values):
        self[values] = self.get(values, 0) + 1


@pytest.mark.parametrize(
    ("was", "now", "before", "after", "event", "reasons"),
    [
        ("ready", "open", (), ("slow",), Event.ENDPOINT_EJECTED, ("slow",)),
        ("ready", "draining", (), ("draining",), Event.ENDPOINT_EJECTED, ("draining",)),
        ("ready", "ready", (), ("errors:m",), Event.ENDPOINT_EJECTED, ("errors:m",)),
        ("open", "open", ("slow",), ("slow", "queue"), Event.ENDPOINT_EJECTED, ("queue",)),
        ("open", "half_open", ("slow",), ("slow",), Event.ENDPOINT_TRIED, ("slow",)),
        ("half_open", "open", ("slow",), ("slow",), Event.ENDPOINT_EJECTED, ("slow",)),
        ("half_open", "ready", ("slow",), (), Event.ENDPOINT_READMITTED, ("slow",)),
        ("open", "ready", ("refused",), (), Event.ENDPOINT_READMITTED, ("refused",)),
        ("open", "open", ("slow", "queue"), ("slow",), None, ()),
    ],
)
def test_what_a_change_means(was, now, before, after, event, reasons):
    found, about = read(Change("p", "e", was, now, before, after, 1.0))
    assert (found, tuple(about)) == (event, reasons)


def test_levels_counts_and_lines(caplog):
    watchdog = Watchdog({"p": HealthRules(BreakerRules(least=2))})
    watchdog.members({"p": [Member("a:1"), Member("b:1", "draining"), Member("c:1")]}, 0.0)
    levels, counts = Levels(), Counts()
    ejections = Ejections(levels, counts)
    for _ in range(2):
        watchdog.ended(Ended("k", "p", "a:1", 1.0, 500, 0.0, (), "m"), 1.0)
    watchdog.look("p", Look("c:1", 1.0, "refused"), 1.0)
    ailing = ejections.tell(watchdog, ["p"], 1.0)
    assert ailing == {
        "p": {
            "a:1": ("open", ("errors:m",)),
            "b:1": ("draining", ("draining",)),
            "c:1": ("open", ("refused",)),
        }
    }
    assert levels == {
        ("p", "ready"): 0, ("p", "half_open"): 0, ("p", "open"): 2, ("p", "draining"): 1,
    }  # fmt: skip
    assert counts == {("p", "draining"): 1, ("p", "errors"): 1, ("p", "refused"): 1}
    assert [record.msg for record in caplog.records] == [Event.ENDPOINT_EJECTED] * 3
    caplog.clear()
    watchdog.look("p", Look("c:1", 2.0), 2.0)
    ejections.tell(watchdog, ["p"], 6.0)
    said = [(record.msg, record.endpoint, record.reasons) for record in caplog.records]
    assert said == [
        (Event.ENDPOINT_READMITTED, "c:1", "refused"),
        (Event.ENDPOINT_TRIED, "a:1", "errors:m"),
    ]
    assert (levels["p", "ready"], levels["p", "half_open"]) == (1, 1)
    assert counts["p", "errors"] == 1


def test_levels_of_a_pool_that_is_gone_are_forgotten():
    watchdog, levels = Watchdog(), Levels()
    watchdog.members({"p": [Member("a:1")], "q": [Member("b:1")]}, 0.0)
    ejections = Ejections(levels, Counts())
    ejections.tell(watchdog, ["p", "q"], 1.0)
    assert len(levels) == 8
    ejections.tell(watchdog, ["q"], 2.0)
    assert {pool for pool, _ in levels} == {"q"}
    ejections.tell(watchdog, ["p", "q"], 3.0)
    assert levels["p", "ready"] == 1
