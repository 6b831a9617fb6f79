"""Envoy's access log service -> `Outcome`: the fast word on how a request ended.

Fast, not exact: entries on their way are lost when a worker dies (`rereading.py` looks for them). It
serves what wants to know within milliseconds: how endpoints do, what is free again. What must be exact
reads the JSON access log (`ledger/`). Envoy sends entries unbuffered; all of one Envoy thread come to
one worker.
"""

import asyncio
from collections.abc import AsyncIterable, Iterable, Sequence

from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogCommon, HTTPAccessLogEntry
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage

from extproc.action import ENDPOINT_KEY, ENDPOINT_NAMESPACE, NAMESPACE, USAGE_NAMESPACE
from extproc.decision import Outcome
from extproc.pipeline import Pipeline
from extproc.protobuf import StructView

AT_ONCE = 256
"""Settlements under way for one of Envoy's threads; beyond them its entries wait."""


async def settle_all(
    messages: AsyncIterable[StreamAccessLogsMessage], current: "CurrentPipeline"
) -> None:
    """Settle every request whose end is told, renew every one that still runs, under the policy in
    force now. They do not wait for each other: each may be a call to counters that are far away.

    What has been told is settled whatever becomes of Envoy: it will not be told again, and what is
    reserved would stay taken.
    """
    room = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        async for message in messages:
            for outcome in outcomes(message.http_logs.log_entry):
                await room.acquire()
                telling = tasks.create_task(tell(current.pipeline, outcome))
                telling.add_done_callback(lambda _: room.release())


async def tell(pipeline: Pipeline, outcome: Outcome) -> None:
    await (pipeline.renew(outcome) if outcome.running else pipeline.settle(outcome))


class CurrentPipeline:
    """The one reference that a reload swaps."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline


def outcomes(entries: Iterable[HTTPAccessLogEntry]) -> Iterable[Outcome]:
    """Pick the entries that tell of an end, or that a request which was decided on still runs."""
    for entry in entries:
        common = entry.common_properties
        metadata = common.metadata.filter_metadata
        running = common.access_log_type == accesslog_pb2.DownstreamPeriodic
        if common.access_log_type == accesslog_pb2.DownstreamEnd or (
            running and NAMESPACE in metadata
        ):
            yield Outcome(
                witness=StructView(metadata.get(NAMESPACE)),
                status=entry.response.response_code.value,
                attempts=common.upstream_request_attempt_count,
                failed=() if running else find_failed(common),
                usage=StructView(metadata.get(USAGE_NAMESPACE)),
                running=running,
                client_ip=read_client_ip(common) if is_refused(common) else "",
                served="" if running else read_served(common),
                latency_s=0.0 if running else read_latency_s(common),
            )


def is_refused(common: AccessLogCommon) -> bool:
    """Whether we have refused it: `action.stop` has left the reason."""
    known = common.metadata.filter_metadata
    return NAMESPACE in known and "deny" in known[NAMESPACE].fields


def read_client_ip(common: AccessLogCommon) -> str:
    """Read the client's address: behind trusted proxies the one they vouch for."""
    return common.downstream_remote_address.socket_address.address


def read_served(common: AccessLogCommon) -> str:
    """Name the endpoint that was tried last, as policies write it; nothing when none was."""
    address = common.upstream_remote_address.socket_address
    if not address.address:
        return ""
    host = f"[{address.address}]" if ":" in address.address else address.address
    return f"{host}:{address.port_value}"


def read_latency_s(common: AccessLogCommon) -> float:
    """Say how long an engine and the way to the client took; what came before was ours. 0: no engine
    was asked, or the client got nothing."""
    if not common.HasField("time_to_last_downstream_tx_byte"):
        return 0.0
    if not common.HasField("time_to_first_upstream_tx_byte"):
        return 0.0
    first, last = common.time_to_first_upstream_tx_byte, common.time_to_last_downstream_tx_byte
    passed_s = last.seconds - first.seconds + (last.nanos - first.nanos) / 1e9
    return max(passed_s, 0.0)


def find_failed(common: AccessLogCommon) -> Sequence[str]:
    """Name the endpoints that gave no answer: all that were tried but the last, and the last one too
    if Envoy flags it."""
    flags = common.response_flags
    also_last = (
        flags.upstream_connection_failure
        or flags.upstream_connection_termination
        or flags.upstream_remote_reset
    )
    count = common.upstream_request_attempt_count - (0 if also_last else 1)
    metadata = common.metadata.filter_metadata
    if count <= 0 or ENDPOINT_NAMESPACE not in metadata:
        return ()
    if NAMESPACE in metadata and "hedge_ms" in metadata[NAMESPACE].fields:
        return ()  # asked beside each other: slow is not failed
    named = str(StructView(metadata[ENDPOINT_NAMESPACE]).get(ENDPOINT_KEY, ""))
    return named.split(",")[:count] if named else ()
