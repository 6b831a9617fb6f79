"""Write type stubs for the few Envoy messages that Headgate reads and writes.

xds-protos ships no types, and stubs for all of its thousand files would slow every check. Run after
an upgrade of xds-protos:

    .venv/bin/python typings/generate.py

Only messages reachable from `ROOTS` through `FIELDS` exist for the type checkers, so a new use of a
field is a visible line here.
"""

import importlib
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

HERE = Path(__file__).parent
EXT_PROC = "envoy.service.ext_proc.v3.external_processor_pb2"
MODE = "envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2"
CORE = "envoy.config.core.v3.base_pb2"
STATUS = "envoy.type.v3.http_status_pb2"
ALS = "envoy.service.accesslog.v3.als_pb2"
LOG = "envoy.data.accesslog.v3.accesslog_pb2"
ADDRESS = "envoy.config.core.v3.address_pb2"

FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    EXT_PROC: {
        "ProcessingRequest": (
            "request_headers",
            "request_body",
            "request_trailers",
            "response_headers",
            "response_body",
            "response_trailers",
            "attributes",
            "metadata_context",
            "observability_mode",
            "protocol_config",
        ),
        "ProcessingResponse": (
            "request_headers",
            "request_body",
            "request_trailers",
            "response_headers",
            "response_body",
            "response_trailers",
            "immediate_response",
            "dynamic_metadata",
            "mode_override",
            "override_message_timeout",
        ),
        "ProtocolConfiguration": (
            "request_body_mode",
            "response_body_mode",
            "send_body_without_waiting_for_header_response",
        ),
        "HttpHeaders": ("headers", "end_of_stream"),
        "HttpBody": ("body", "end_of_stream"),
        "HttpTrailers": ("trailers",),
        "HeadersResponse": ("response",),
        "BodyResponse": ("response",),
        "TrailersResponse": ("header_mutation",),
        "CommonResponse": ("status", "header_mutation", "body_mutation", "clear_route_cache"),
        "HeaderMutation": ("set_headers", "remove_headers"),
        "BodyMutation": ("body", "clear_body", "streamed_response"),
        "StreamedBodyResponse": ("body", "end_of_stream"),
        "ImmediateResponse": ("status", "headers", "body", "details"),
    },
    MODE: {
        "ProcessingMode": (
            "request_header_mode",
            "response_header_mode",
            "request_body_mode",
            "response_body_mode",
            "request_trailer_mode",
            "response_trailer_mode",
        ),
    },
    CORE: {
        "HeaderMap": ("headers",),
        "HeaderValue": ("key", "value", "raw_value"),
        "HeaderValueOption": ("header",),
        "Metadata": ("filter_metadata",),
    },
    ADDRESS: {"Address": ("socket_address",), "SocketAddress": ("address", "port_value")},
    STATUS: {"HttpStatus": ("code",)},
    ALS: {
        "StreamAccessLogsMessage": ("http_logs",),
        "StreamAccessLogsMessage.HTTPAccessLogEntries": ("log_entry",),
        "StreamAccessLogsResponse": (),
    },
    LOG: {
        "HTTPAccessLogEntry": ("common_properties", "response"),
        "AccessLogCommon": (
            "metadata",
            "response_flags",
            "upstream_request_attempt_count",
            "access_log_type",
            "downstream_remote_address",
            "upstream_remote_address",
            "time_to_first_upstream_tx_byte",
            "time_to_last_downstream_tx_byte",
        ),
        "ResponseFlags": (
            "no_healthy_upstream",
            "upstream_connection_failure",
            "upstream_connection_termination",
            "upstream_remote_reset",
            "upstream_request_timeout",
            "upstream_retry_limit_exceeded",
        ),
        "HTTPResponseProperties": ("response_code",),
    },
}
ENUMS = {LOG: ("AccessLogType",)}
KINDS = FieldDescriptor
SCALARS = {
    KINDS.CPPTYPE_STRING: "str", KINDS.CPPTYPE_BOOL: "bool", KINDS.CPPTYPE_FLOAT: "float",
    KINDS.CPPTYPE_DOUBLE: "float", KINDS.CPPTYPE_ENUM: "int",
}  # fmt: skip


def module_of(descriptor: Descriptor) -> str:
    return descriptor.file.name.removesuffix(".proto").replace("/", ".") + "_pb2"


def value_type(field: FieldDescriptor, module: str) -> str:
    if field.message_type is None:
        if field.type == KINDS.TYPE_BYTES:
            return "bytes"
        return SCALARS.get(field.cpp_type, "int")
    owner = module_of(field.message_type)
    package = field.message_type.file.package
    name = field.message_type.full_name.removeprefix(package + ".")
    return name if owner == module else f"{owner}.{name}"


def member(field: FieldDescriptor, module: str) -> tuple[str, str]:
    """Return the type of the attribute, and of the constructor's argument."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = value_type(field.message_type.fields_by_name["value"], module)
        return f"MessageMap[str, {value}]", f"Mapping[str, {value}] | None"
    kind = value_type(field, module)
    if field.is_repeated:
        box = (
            "RepeatedScalarFieldContainer"
            if field.message_type is None
            else ("RepeatedCompositeFieldContainer")
        )
        return f"{box}[{kind}]", f"Iterable[{kind}] | None"
    return kind, f"{kind} | None"


def enum_lines(enum: EnumDescriptor, indent: str) -> list[str]:
    return [f"{indent}{value.name}: int" for value in enum.values]


def class_lines(descriptor: Descriptor, wanted: tuple[str, ...], module: str) -> list[str]:
    """Lay out one message class, without the classes nested in it."""
    fields = [descriptor.fields_by_name[name] for name in wanted]
    members = {field.name: member(field, module) for field in fields}
    lines = [f"class {descriptor.name}(Message):"]
    for enum in descriptor.enum_types:
        lines += enum_lines(enum, "    ")
    lines += [f"    {name}: {attribute}" for name, (attribute, _) in members.items()]
    arguments = "".join(f", {name}: {argument} = ..." for name, (_, argument) in members.items())
    star = ", *" if arguments else ""
    lines.append(f"    def __init__(self{star}{arguments}) -> None: ...")
    return lines


def stub(module: str) -> str:
    real = importlib.import_module(module)
    body: list[str] = []
    for name in ENUMS.get(module, ()):
        body += enum_lines(real.DESCRIPTOR.enum_types_by_name[name], "")
    for path, wanted in FIELDS[module].items():
        if "." in path:
            continue
        descriptor = real.DESCRIPTOR.message_types_by_name[path]
        body += class_lines(descriptor, wanted, module)
        for nested in descriptor.nested_types:
            inner = FIELDS[module].get(f"{path}.{nested.name}")
            if inner is not None:
                body += ["    " + line for line in class_lines(nested, inner, module)]
    text = "\n".join(body)
    shared = (f"google.protobuf.{name}_pb2" for name in ("duration", "struct", "wrappers"))
    known = (*FIELDS, *shared)
    imports = sorted({m for m in known if f"{m}." in text})
    head = ["from collections.abc import Iterable, Mapping", ""]
    head += [f"import {name}" for name in imports]
    head += [
        "from google.protobuf.internal.containers import (",
        "    MessageMap,", "    RepeatedCompositeFieldContainer,", "    RepeatedScalarFieldContainer,", ")",
        "from google.protobuf.message import Message", "",
    ]  # fmt: skip
    return "\n".join(["# Written by typings/generate.py.", *head, text, ""])


def main() -> None:
    for module in FIELDS:
        path = HERE / (module.replace(".", "/") + ".pyi")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stub(module), encoding="utf-8")
        for parent in path.parents:
            if parent == HERE:
                break
            (parent / "__init__.pyi").touch()


if __name__ == "__main__":
    main()
