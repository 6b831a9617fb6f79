"""An Envoy configured as Istio 1.30 does for an InferencePool, and an engine that shows what it got.

What is not Istio's: answers carry in `x-test-*` headers what Envoy did, and a Lua filter in front turns
request headers into what a data plane may say (`x-test-subset`) or do (`x-test-refuse`).
"""

import asyncio
import contextlib
import hashlib
import json

import yaml

TYPE = "type.googleapis.com/envoy.extensions"
NAMESPACES = {"untyped": ["envoy.lb", "envoy.lb.subset_hint"]}
ENDPOINT = "x-gateway-destination-endpoint"
KEY = {"key": "envoy.lb", "path": [{"key": ENDPOINT}]}
SERVED = {"key": "envoy.lb", "path": [{"key": f"{ENDPOINT}-served"}]}
RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"

LUA = """
function envoy_on_request(handle)
  local refuse = handle:headers():get("x-test-refuse")
  if refuse then handle:respond({[":status"] = refuse}, "refused before the picker") end
  local subset = handle:headers():get("x-test-subset")
  if not subset then return end
  local value = subset
  if subset:sub(1, 1) == "[" then
    value = {}
    for each in subset:sub(2, -2):gmatch("[^;]+") do table.insert(value, each) end
  end
  handle:streamInfo():dynamicMetadata():set(
    "envoy.lb.subset_hint", "x-gateway-destination-endpoint-subset", value)
end
"""


def typed(kind, **more):
    return {"@type": f"{TYPE}.{kind}", **more}


def address(endpoint):
    host, _, port = endpoint.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def per_route(*, fail_open):
    """What Istio writes for `endpointPickerRef`."""
    mode = {
        "request_header_mode": "SEND",
        "request_body_mode": "FULL_DUPLEX_STREAMED",
        "request_trailer_mode": "SEND",
        "response_header_mode": "SEND",
        "response_body_mode": "FULL_DUPLEX_STREAMED",
        "response_trailer_mode": "SEND",
    }
    overrides = {
        "processing_mode": mode,
        "grpc_service": {"envoy_grpc": {"cluster_name": "epp"}},
        "failure_mode_allow": fail_open,
    }
    return {
        "envoy.filters.http.ext_proc": typed(
            "filters.http.ext_proc.v3.ExtProcPerRoute", overrides=overrides
        )
    }


def route(prefix, *, fail_open, rewrite=None, retries=2):
    action = {
        "cluster": "pool",
        "timeout": "0s",
        "retry_policy": {
            "retry_on": RETRY_ON,
            "num_retries": retries,
            "retriable_status_codes": [503],
            "host_selection_retry_max_attempts": 5,
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": f"{TYPE}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
        },
    }
    if not retries:
        del action["retry_policy"]
    if rewrite:
        action["prefix_rewrite"] = rewrite
    shown = {
        "x-test-upstream": "%UPSTREAM_REMOTE_ADDRESS%",
        "x-test-header": f"%REQ({ENDPOINT})%",
        "x-test-metadata": f"%DYNAMIC_METADATA(envoy.lb:{ENDPOINT})%",
        "x-test-served": f"%DYNAMIC_METADATA(envoy.lb:{ENDPOINT}-served)%",
        "x-test-attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    }
    return {
        "match": {"prefix": prefix},
        "route": action,
        "typed_per_filter_config": per_route(fail_open=fail_open),
        "response_headers_to_add": [
            {"header": {"key": name, "value": value}} for name, value in shown.items()
        ],
    }


def listener():
    ext_proc = typed(
        "filters.http.ext_proc.v3.ExternalProcessor",
        grpc_service={"envoy_grpc": {"cluster_name": "dummy"}, "timeout": "10s"},
        failure_mode_allow=True,
        processing_mode={"request_header_mode": "SKIP", "response_header_mode": "SKIP"},
        message_timeout="1000s",
        metadata_options={
            "receiving_namespaces": {"untyped": ["envoy.lb"]},
            "forwarding_namespaces": NAMESPACES,
        },
    )
    filters = [
        ("test.lua", typed("filters.http.lua.v3.Lua", default_source_code={"inline_string": LUA})),
        ("envoy.filters.http.ext_proc", ext_proc),
        ("envoy.filters.http.router", typed("filters.http.router.v3.Router")),
    ]
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="gateway",
        http_protocol_options={"enable_trailers": True},
        http_filters=[{"name": name, "typed_config": config} for name, config in filters],
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        route("/open/", fail_open=True, rewrite="/"),
                        route("/once/", fail_open=False, rewrite="/", retries=0),
                        route("/", fail_open=False),
                    ],
                }
            ]
        },
    )
    name = "envoy.filters.network.http_connection_manager"
    return {
        "name": "gateway",
        "address": address("127.0.0.1:0"),
        "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
    }


def policy(name, config):
    return {"policies": [{"typed_extension_config": {"name": name, "typed_config": config}}]}


def cluster(name, endpoints, **more):
    assignment = [{"endpoint": {"address": address(each)}} for each in endpoints]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": assignment}]},
        **more,
    }


def protocol(**options):
    kind = "upstreams.http.v3.HttpProtocolOptions"
    return {
        "typed_extension_protocol_options": {
            f"envoy.extensions.{kind}": typed(kind, explicit_http_config=options)
        }
    }


def bootstrap(endpoints, picker, admin, *, tls=True):
    """`endpoints` of the pool, and the `picker` that is asked, both `ip:port`."""
    round_robin = "load_balancing_policies.round_robin"
    override = typed(
        "load_balancing_policies.override_host.v3.OverrideHost",
        override_host_sources=[{"metadata": KEY}],
        selected_host_key=SERVED,
        fallback_policy=policy(f"envoy.{round_robin}", typed(f"{round_robin}.v3.RoundRobin")),
    )
    # DestinationRule: `tls: {mode: SIMPLE, insecureSkipVerify: true}`.
    socket = typed(
        "transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context={"alpn_protocols": ["h2"]},
    )
    secure = {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": socket}}
    pool = cluster(
        "pool",
        endpoints,
        load_balancing_policy=policy("envoy.load_balancing_policies.override_host", override),
        **protocol(http_protocol_options={"enable_trailers": True}),
    )
    epp = cluster("epp", [picker], **protocol(http2_protocol_options={}), **(secure if tls else {}))
    dummy = cluster("dummy", ["127.0.0.1:9"], **protocol(http2_protocol_options={}))
    document = {
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "static_resources": {"listeners": [listener()], "clusters": [pool, epp, dummy]},
    }
    return yaml.safe_dump(document)


class Shown:
    """An engine that answers with what it was sent, with trailers behind, on HTTP/1.1."""

    @staticmethod
    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines)
                body, trailers = await read_body(reader, headers)
                seen = {
                    "first": first,
                    "headers": headers,
                    "bytes": len(body),
                    "sha256": hashlib.sha256(body).hexdigest(),
                    "start": body[:2000].decode("latin-1"),
                    "trailers": trailers,
                }
                answer = json.dumps(seen).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b"transfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n"
                    + b"%x\r\n%b\r\n0\r\nx-end: over\r\n\r\n"
                    % (len(answer), answer)
                )
                await writer.drain()
        writer.close()


async def read_body(reader, headers):
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", "0"))), []
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append((await reader.readexactly(size + 2))[:-2])
    trailers = []
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        trailers.append(line.decode().strip())
    return b"".join(pieces), trailers
