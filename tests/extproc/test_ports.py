"""What every implementation of a port keeps to: the real ones and the doubles alike."""

import inspect

import pytest
from prometheus_client import generate_latest

from engines.watch.messages import Ended, Member, Picked, Used
from extproc.enginesview import EnginesView
from extproc.metering import PrometheusMeter
from extproc.ports import Authority, EngineView, Journal, Meter
from extproc.request import Identity, Kind, Model, Operation, Prompt
from extproc.stores.journal import FileJournal
from extproc.stores.memory import MemoryAuthority, MemoryEngines, MemoryJournal, MemoryMeter
from extproc.stores.opa import OpaAuthority
from tests.extproc.requests import BARE

REQUEST = (
    BARE.having(Operation(Kind.CHAT))
    .having(Identity("acme", "key-1"))
    .having(Prompt({}, "m"))
    .having(Model("m", "p", "m"))
)


@pytest.mark.parametrize(
    ("port", "kinds"),
    [
        (Meter, [MemoryMeter, PrometheusMeter]),
        (Journal, [MemoryJournal, FileJournal]),
        (EngineView, [MemoryEngines, EnginesView]),
        (Authority, [MemoryAuthority, OpaAuthority]),
    ],
)
def test_signatures_are_the_ports_own(port, kinds):
    methods = {name for name in vars(port) if not name.startswith("_")}
    assert methods
    for kind in kinds:
        for name in methods:
            wanted = list(inspect.signature(getattr(port, name)).parameters)
            assert list(inspect.signature(getattr(kind, name)).parameters) == wanted


@pytest.fixture(params=[MemoryMeter, PrometheusMeter])
def meter(request):
    return request.param()


def test_a_meter_takes_whatever_happens(meter):
    for outcome in ("forward", "deny", "reply", "fault"):
        meter.decided(outcome, 0.0)
        meter.decided(outcome, 1e6)
    meter.filter_fault("pick")
    meter.wire_fault("order")
    if isinstance(meter, MemoryMeter):
        assert meter.decisions == {"forward": 2, "deny": 2, "reply": 2, "fault": 2}
        assert meter.faults == {"pick": 1, "order": 1}
    else:
        text = generate_latest(meter.registry).decode()
        for outcome in ("forward", "deny", "reply", "fault"):
            assert f'headgate_decision_seconds_count{{outcome="{outcome}"}} 2.0' in text
        assert 'headgate_filter_faults_total{filter="pick"} 1.0' in text
        assert 'headgate_wire_faults_total{kind="order"} 1.0' in text


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_journal_keeps_every_request(kind, tmp_path):
    journal = MemoryJournal() if kind == "memory" else FileJournal(tmp_path)
    for _ in range(3):
        journal.record(REQUEST, "v1")
    if kind == "memory":
        kept = len(journal.requests)
    else:
        journal.close()
        kept = sum(len(path.read_bytes().splitlines()) for path in tmp_path.iterdir())
    assert kept == 3


def memory_engines(endpoints):
    return MemoryEngines({"p": endpoints})


def engines_view(endpoints):
    view = EnginesView()
    view.track({"p": ([Member(each) for each in endpoints], False)})
    return view


@pytest.fixture(params=[memory_engines, engines_view])
def view(request):
    return request.param(["c:1", "a:1", "b:1"])


def named(view, pool="p"):
    return [each.endpoint for each in view.candidates(pool)]


def test_a_view_keeps_the_order_and_invents_nothing(view):
    assert named(view) == ["c:1", "a:1", "b:1"]
    assert named(view, "q") == []


def test_one_that_gave_no_answer_is_not_named(view):
    view.picked(Picked("k", "p", "a:1", 0.0, 10, 0, (1, 2)))
    view.running("k")
    view.ended(Ended("k", "p", "b:1", 0.0, 200, 0.1, failed=("a:1", "nobody:1")))
    assert named(view) == ["c:1", "b:1"]


def test_what_an_engine_has_counted_is_told(view):
    heard, used = [], Used("m", "key-1", 9, "", 5)
    view.used(used)
    view.tell_used(heard.append)
    view.used(used)
    assert heard == [used]


def test_prefixes_belong_to_a_pool(view):
    view.prefixes("p").note("a:1", [1, 2])
    assert view.prefixes("p").matched([1, 2, 3]) == {"a:1": 2}
    assert view.prefixes("q").matched([1, 2, 3]) == {}
