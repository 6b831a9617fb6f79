"""Single values in protobuf: headers, metadata, attributes. The order of messages is `wire.py`'s."""

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.ext_proc.v3.external_processor_pb2 import HeaderMutation, ProcessingRequest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct, Value

from extproc.action import Forward, Metadata
from extproc.request import Scalar

ATTRIBUTES = "envoy.filters.http.ext_proc"
SOURCE = "source.address"
JWT_NAMESPACE = "envoy.filters.http.jwt_authn"
"""Where Envoy's filter puts verified claims (`payload_in_metadata`); Istio's RequestAuthentication
configures it so. Only this filter can write there, a client cannot."""


def read_client_ip(message: ProcessingRequest) -> str:
    """Read the attribute `source.address`, which is `ip:port` or `[ip]:port`."""
    known = message.attributes
    if ATTRIBUTES not in known or SOURCE not in known[ATTRIBUTES].fields:
        return ""
    address = known[ATTRIBUTES].fields[SOURCE].string_value
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")


def read_claims(message: ProcessingRequest) -> dict[str, object] | None:
    """Read the claims that jwt_authn put into metadata, whatever key it was told to use. Those of two
    tokens are none: which of them is asking cannot be told."""
    known = message.metadata_context.filter_metadata
    if JWT_NAMESPACE not in known:
        return None
    verified: list[dict[str, object]] = [
        MessageToDict(value.struct_value)
        for value in known[JWT_NAMESPACE].fields.values()
        if "iss" in value.struct_value.fields  # not a token's header, which may stand beside it
    ]
    return verified[0] if len(verified) == 1 else None


def header(name: str, value: str) -> HeaderValueOption:
    """Build one header to set. `raw_value`, because Envoy ignores `value` here."""
    return HeaderValueOption(header=HeaderValue(key=name, raw_value=value.encode("latin-1")))


def mutation(forward: Forward) -> HeaderMutation:
    set_headers = [header(name, value) for name, value in forward.set_headers.items()]
    return HeaderMutation(set_headers=set_headers, remove_headers=forward.remove_headers)


def to_struct(metadata: Metadata) -> Struct:
    """Encode metadata. Numbers become doubles: exact up to 2**53, which no count of ours nears."""
    outer = Struct()
    for namespace, known in metadata.items():
        inner = outer.fields[namespace].struct_value.fields
        for name, value in known.items():
            match value:
                case bool():
                    inner[name].bool_value = value
                case str():
                    inner[name].string_value = value
                case _:
                    inner[name].number_value = value
    return outer


def read_struct(struct: Struct) -> dict[str, Scalar]:
    return {name: read_value(value) for name, value in struct.fields.items()}


def read_value(value: Value) -> Scalar:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            return value.number_value
        case _:
            return ""
