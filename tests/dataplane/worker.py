"""A double of a Headgate worker: decides as the request's `x-test` header says, and collects access log entries.

`x-test` is JSON, all of it optional:
    pool       the pool to route to (absent: no decision is made, as a broken worker would)
    endpoints  metadata envoy.lb, "ip:port,ip:port"
    sidecar    hand over to it at the headers, whatever body follows
    strip      metadata headgate.strip
    track      metadata headgate.track; version likewise
    metadata   more members of metadata headgate
    tries      metadata headgate.tries; `again` names the route
    deny       [status, code]: refuse at the headers
    answer     text: an immediate 200 at the headers
    mode       response body mode to ask for, and the answer's headers with it
    set        a header to set, whatever it is; `headers` more of them, with values
    hang_s     wait before the header reply
    answer_hang_s  wait before the reply to the answer's headers
    abort      true: end the RPC with an error
"""

import asyncio
import json
from pathlib import Path
from typing import Self

import grpc.aio
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.accesslog.v3 import als_pb2, als_pb2_grpc
from envoy.service.ext_proc.v3 import external_processor_pb2 as pb
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as pb_grpc
from envoy.type.v3.http_status_pb2 import HttpStatus
from google.protobuf.struct_pb2 import Struct
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

EXT_PROC = "envoy.service.ext_proc.v3.ExternalProcessor"


def struct(**values: object) -> Struct:
    message = Struct()
    message.update(values)
    return message


def common(headers: dict[str, str]) -> pb.CommonResponse:
    options = [
        HeaderValueOption(header=HeaderValue(key=name, raw_value=value.encode()))
        for name, value in headers.items()
    ]
    return pb.CommonResponse(
        header_mutation=pb.HeaderMutation(set_headers=options), clear_route_cache=True
    )


def immediate(status: int, body: str, deny: str | None) -> pb.ProcessingResponse:
    content_type = HeaderValueOption(
        header=HeaderValue(key="content-type", raw_value=b"application/json")
    )
    facts = {"settle_key": "s1"} | ({"deny": deny} if deny else {})
    return pb.ProcessingResponse(
        immediate_response=pb.ImmediateResponse(
            status=HttpStatus(code=status),
            headers=pb.HeaderMutation(set_headers=[content_type]),
            body=body.encode(),
        ),
        dynamic_metadata=struct(headgate=facts),
    )


class Worker(pb_grpc.ExternalProcessorServicer, als_pb2_grpc.AccessLogServiceServicer):
    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.attributes: list[dict[str, object]] = []
        self.entries: list[dict[str, object]] = []
        self.phases: list[str] = []

    async def __aenter__(self) -> Self:
        self.server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", 64 * 1024 * 1024)]
        )
        pb_grpc.add_ExternalProcessorServicer_to_server(self, self.server)
        als_pb2_grpc.add_AccessLogServiceServicer_to_server(self, self.server)
        servicer = health.aio.HealthServicer()
        await servicer.set(EXT_PROC, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self.server)
        self.server.add_insecure_port(f"unix:{self.socket}")
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop(0)

    async def Process(self, request_iterator, context):  # noqa: N802 - the service's name
        order: dict[str, object] = {}
        async for message in request_iterator:
            kind = message.WhichOneof("request")
            self.phases.append(kind)
            if kind == "request_headers":
                sent = message.request_headers
                headers = {h.key: h.raw_value.decode("latin-1") for h in sent.headers.headers}
                self.headers.append(headers)
                self.attributes.append({k: dict(v.items()) for k, v in message.attributes.items()})
                order = json.loads(headers.get("x-test", "{}"))
                await asyncio.sleep(order.get("hang_s", 0))
                if order.get("abort"):
                    await context.abort(grpc.StatusCode.INTERNAL, "as ordered")
                if "deny" in order:
                    status, code = order["deny"]
                    body = json.dumps(
                        {"error": {"message": "no", "type": "t", "param": None, "code": code}}
                    )
                    yield immediate(status, body, code)
                    return
                if "answer" in order:
                    yield immediate(200, order["answer"], None)
                    return
                is_last = sent.end_of_stream or "sidecar" in order
                yield self.header_reply(order, is_last=is_last)
                if is_last:
                    return
            elif kind == "request_body":
                self.bodies.append(message.request_body.body)
                yield self.decision(order, pb.BodyResponse)
                if "mode" not in order:
                    return
            elif kind == "response_headers":
                await asyncio.sleep(order.get("answer_hang_s", 0))
                yield pb.ProcessingResponse(response_headers=pb.HeadersResponse())
            elif kind == "response_body":
                yield self.body_reply(message.response_body, order)

    def body_reply(self, piece, order) -> pb.ProcessingResponse:
        if order["mode"] != "FULL_DUPLEX_STREAMED":
            return pb.ProcessingResponse(response_body=pb.BodyResponse())
        streamed = pb.StreamedBodyResponse(body=piece.body, end_of_stream=piece.end_of_stream)
        mutation = pb.BodyMutation(streamed_response=streamed)
        return pb.ProcessingResponse(
            response_body=pb.BodyResponse(response=pb.CommonResponse(body_mutation=mutation))
        )

    def header_reply(self, order, *, is_last: bool) -> pb.ProcessingResponse:
        reply = (
            self.decision(order, pb.HeadersResponse)
            if is_last
            else pb.ProcessingResponse(
                request_headers=pb.HeadersResponse(),
                dynamic_metadata=struct(headgate={"settle_key": "s1", "tenant": "acme"}),
            )
        )
        if "mode" in order:
            reply.mode_override.CopyFrom(
                ProcessingMode(
                    request_body_mode=ProcessingMode.BUFFERED,
                    response_header_mode=ProcessingMode.SEND,
                    response_body_mode=order["mode"],
                    response_trailer_mode="SEND" if "DUPLEX" in order["mode"] else "SKIP",
                )
            )
        return reply

    def decision(self, order, response_class) -> pb.ProcessingResponse:
        facts = {"settle_key": "s1", "tenant": "acme", "stream": True}
        metadata: dict[str, dict[str, object]] = {"headgate": facts}
        if "pool" in order:
            facts |= {"model": "tiny-chat", "pool": order["pool"]}
        facts |= {name: order[name] for name in ("strip", "track", "version") if name in order}
        facts |= order.get("metadata", {})
        if "endpoints" in order:
            metadata["envoy.lb"] = {"x-gateway-destination-endpoint": order["endpoints"]}
        headers = {"x-headgate-pool": order["pool"]} if "pool" in order else {}
        if "sidecar" in order:
            facts |= {"sidecar": f"sidecar/{order['sidecar']}"}
            headers |= {"x-headgate-pool": f"sidecar/{order['sidecar']}"}
        if "tries" in order:
            metadata["headgate.tries"] = order["tries"]
            listed = [each["name"] for each in order["tries"]["priority_groups"]]
            headers |= {
                "x-headgate-tries": ",".join((order.get("again", "sent"), *listed, "")),
                "x-envoy-max-retries": str(len(order["tries"]["priority_groups"]) - 1),
            }
        headers |= {order["set"]: "x"} if "set" in order else {}
        headers |= order.get("headers", {})
        reply = response_class(response=common(headers))
        field = "request_body" if response_class is pb.BodyResponse else "request_headers"
        return pb.ProcessingResponse(**{field: reply}, dynamic_metadata=struct(**metadata))

    async def StreamAccessLogs(self, request_iterator, context):  # noqa: N802
        async for message in request_iterator:
            for entry in message.http_logs.log_entry:
                self.entries.append(
                    {
                        "type": AccessLogType.Name(entry.common_properties.access_log_type),
                        "tags": dict(entry.common_properties.custom_tags),
                        "metadata": {
                            namespace: dict(values.items())
                            for namespace, values in (
                                entry.common_properties.metadata.filter_metadata.items()
                            )
                        },
                        "status": entry.response.response_code.value,
                    }
                )
        return als_pb2.StreamAccessLogsResponse()
