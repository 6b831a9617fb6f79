"""Envoy's access log entries -> Outcomes."""

import asyncio

import pytest
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.data.accesslog.v3.accesslog_pb2 import HTTPAccessLogEntry
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage
from google.protobuf.struct_pb2 import Value

from extproc.decision import Outcome
from extproc.filter import Filter
from extproc.pipeline import Pipeline
from extproc.protobuf import read_value
from extproc.stores.memory import MemoryMeter
from extproc.witness import AT_ONCE, CurrentPipeline, outcomes, settle_all

END = accesslog_pb2.DownstreamEnd


def entry(*, kind=END, known=None, endpoints=None, status=200, attempts=1, flags=()):
    made = HTTPAccessLogEntry()
    common = made.common_properties
    common.access_log_type = kind
    common.upstream_request_attempt_count = attempts
    for flag in flags:
        setattr(common.response_flags, flag, True)
    if known is not None:
        common.metadata.filter_metadata["headgate"].update(known)
    if endpoints is not None:
        pairs = {"x-gateway-destination-endpoint": endpoints}
        common.metadata.filter_metadata["envoy.lb"].update(pairs)
    if status is not None:
        made.response.response_code.value = status
    return made


def test_a_completed_request():
    known = {"settle_key": "k1", "stream": True, "tenant": "acme"}
    (outcome,) = outcomes([entry(known=known, endpoints="10.0.0.1:1,10.0.0.2:1", attempts=2)])
    assert outcome == Outcome(
        witness=known,
        status=200,
        attempts=2,
        failed=["10.0.0.1:1"],
    )


def test_a_request_that_no_filter_reached():
    (outcome,) = outcomes([entry(status=None, attempts=0)])
    assert outcome == Outcome(witness={}, status=0, attempts=0, failed=())


@pytest.mark.parametrize("endpoints", [None, ""])
def test_a_refusal_named_no_endpoint(endpoints):
    denied = entry(known={"deny": "invalid_api_key"}, endpoints=endpoints, attempts=2)
    (outcome,) = outcomes([denied])
    assert list(outcome.failed) == []


@pytest.mark.parametrize(
    ("known", "client_ip"),
    [({"deny": "invalid_api_key"}, "192.0.2.7"), ({"settle_key": "k1"}, ""), (None, "")],
)
def test_of_a_refusal_the_address_is_told(known, client_ip):
    made = entry(known=known)
    made.common_properties.downstream_remote_address.socket_address.address = "192.0.2.7"
    made.common_properties.downstream_direct_remote_address.socket_address.address = "10.0.0.1"
    (outcome,) = outcomes([made])
    assert outcome.client_ip == client_ip
    assert "headgate" in made.common_properties.metadata.filter_metadata or known is None


@pytest.mark.parametrize(
    "kind",
    [
        accesslog_pb2.NotSet,
        accesslog_pb2.DownstreamStart,
        accesslog_pb2.DownstreamPeriodic,
        accesslog_pb2.UpstreamEnd,
        accesslog_pb2.TcpConnectionEnd,
    ],
)
def test_only_the_end_is_an_end(kind):
    assert list(outcomes([entry(kind=kind), entry(status=201), entry(kind=kind)])) == [
        Outcome({}, 201, 1, ())
    ]


def test_what_was_decided_on_and_still_runs_is_told_with_its_usage():
    made = entry(kind=accesslog_pb2.DownstreamPeriodic, known={"settle_key": "k1"}, status=200)
    made.common_properties.metadata.filter_metadata["headgate.usage"].update({"prompt_tokens": 7})
    (outcome,) = outcomes([made])
    assert (outcome.running, outcome.witness["settle_key"]) == (True, "k1")
    assert (outcome.tokens("prompt_tokens"), outcome.tokens("completion_tokens")) == (7, None)


@pytest.mark.parametrize(
    ("flag", "failed"),
    [
        ("upstream_connection_failure", True),
        ("upstream_connection_termination", True),
        ("upstream_remote_reset", True),
        ("downstream_connection_termination", False),
        ("no_route_found", False),
        ("stream_idle_timeout", False),
        ("response_from_cache_filter", False),
    ],
)
def test_the_endpoint_failed(flag, failed):
    (outcome,) = outcomes([entry(flags=[flag], endpoints="10.0.0.1:1,10.0.0.2:1")])
    assert list(outcome.failed) == (["10.0.0.1:1"] if failed else [])


@pytest.mark.parametrize(
    ("attempts", "last_too", "count"),
    [(0, False, 0), (0, True, 0), (1, True, 1), (2, False, 1), (2, True, 2), (3, False, 2),
     (3, True, 3), (9, False, 3), (9, True, 3)],
)  # fmt: skip
def test_those_before_the_last_failed_for_sure(attempts, last_too, count):
    flags = ["upstream_remote_reset"] if last_too else []
    (outcome,) = outcomes([entry(flags=flags, endpoints="a:1,b:1,c:1", attempts=attempts)])
    assert list(outcome.failed) == ["a:1", "b:1", "c:1"][:count]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (Value(string_value="x"), "x"),
        (Value(string_value=""), ""),
        (Value(bool_value=False), False),
        (Value(number_value=1.5), 1.5),
        (Value(number_value=2**53), 2**53),
        (Value(null_value=0), ""),
        (Value(), ""),
        (Value(list_value={}), ""),
        (Value(struct_value={}), ""),
    ],
)
def test_metadata_values(value, read):
    assert read_value(value) == read
    assert type(read_value(value)) in {str, bool, float}


def test_a_struct_with_every_kind_of_value_is_read():
    (outcome,) = outcomes([entry(known={"n": 3, "s": "x", "b": True, "none": None, "list": [1]})])
    assert outcome.witness == {"n": 3, "s": "x", "b": True, "none": "", "list": ""}


class Note(Filter):
    """Keeps the outcomes it is told."""

    name = "note"

    def __init__(self):
        self.settled, self.renewed = [], []

    async def decide(self, request):
        return request

    async def settle(self, outcome):
        self.settled.append(outcome)

    async def renew(self, outcome):
        assert outcome.running
        self.renewed.append(outcome.status)


def message(*entries):
    made = StreamAccessLogsMessage()
    made.http_logs.log_entry.extend(entries)
    return made


async def test_entries_are_settled_under_the_policy_in_force_when_they_come():
    old, new = Note(), Note()
    meter = MemoryMeter()
    current = CurrentPipeline(Pipeline([old], "v1", meter))

    async def messages():
        still = entry(kind=accesslog_pb2.DownstreamPeriodic, known={}, status=0)
        yield message(entry(status=200), still, entry(status=201))
        yield message()
        current.pipeline = Pipeline([new], "v2", meter)
        yield message(entry(status=202))

    await settle_all(messages(), current)
    assert [outcome.status for outcome in old.settled] == [200, 201]
    assert [outcome.status for outcome in new.settled] == [202]
    assert (old.renewed, new.renewed) == ([0], [])


async def test_the_first_message_may_carry_no_entries_and_tcp_ones_are_not_ours():
    note = Note()

    async def messages():
        identifier = StreamAccessLogsMessage()
        identifier.identifier.log_name = "settle"
        yield identifier
        tcp = StreamAccessLogsMessage()
        tcp.tcp_logs.log_entry.add()
        yield tcp

    await settle_all(messages(), CurrentPipeline(Pipeline([note], "v1", MemoryMeter())))
    assert note.settled == []


class Distant(Filter):
    """Settles when all have begun to: counters that are far away and busy with others."""

    name = "distant"

    def __init__(self, count):
        self.all_here = asyncio.Barrier(count)

    async def decide(self, request):
        return request

    async def settle(self, outcome):
        await self.all_here.wait()


async def test_settlements_do_not_wait_for_each_other():
    async def messages():
        for _ in range(2 * AT_ONCE):
            message = StreamAccessLogsMessage()
            message.http_logs.log_entry.append(entry())
            yield message

    pipeline = Pipeline([Distant(AT_ONCE)], "v1", MemoryMeter())
    async with asyncio.timeout(30):
        await settle_all(messages(), CurrentPipeline(pipeline))


@pytest.mark.parametrize(
    ("address", "served"),
    [(("10.0.0.1", 8000), "10.0.0.1:8000"), (("fd00::1", 1), "[fd00::1]:1"), (None, "")],
)
def test_who_served(address, served):
    made = entry(known={"settle_key": "k1"})
    if address:
        socket = made.common_properties.upstream_remote_address.socket_address
        socket.address, socket.port_value = address
    (outcome,) = outcomes([made])
    assert outcome.served == served


@pytest.mark.parametrize(
    ("first_s", "last_s", "latency_s"),
    [(1.25, 3.0, 1.75), (0.0, 0.5, 0.5), (None, 3.0, 0.0), (1.0, None, 0.0), (2.0, 1.0, 0.0)],
)
def test_how_long_the_engine_took(first_s, last_s, latency_s):
    made = entry(known={"settle_key": "k1"})
    common = made.common_properties
    for field, seconds in (
        (common.time_to_first_upstream_tx_byte, first_s),
        (common.time_to_last_downstream_tx_byte, last_s),
    ):
        if seconds is not None:
            field.SetInParent()
            field.FromNanoseconds(int(seconds * 1e9))
    (outcome,) = outcomes([made])
    assert outcome.latency_s == pytest.approx(latency_s)


def test_of_what_still_runs_neither_is_told():
    made = entry(kind=accesslog_pb2.DownstreamPeriodic, known={"settle_key": "k1"})
    made.common_properties.upstream_remote_address.socket_address.address = "10.0.0.1"
    made.common_properties.time_to_first_upstream_tx_byte.seconds = 1
    made.common_properties.time_to_last_downstream_tx_byte.seconds = 2
    (outcome,) = outcomes([made])
    assert (outcome.served, outcome.latency_s) == ("", 0.0)
