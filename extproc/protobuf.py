"""Single values in protobuf: headers, metadata, attributes. The order of messages is `wire.py`'s.

Messages are filled in place: a constructor that is given a message copies it, bodies and all.
"""

from collections.abc import Iterator, Mapping
from typing import cast

from envoy.service.ext_proc.v3.external_processor_pb2 import HeaderMutation, ProcessingRequest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Struct, Value

from extproc.action import ENDPOINT_NAMESPACE, SERVED_KEY, Metadata, Tree
from extproc.request import Scalar

ATTRIBUTES = "envoy.filters.http.ext_proc"
SOURCE = "source.address"
JWT_NAMESPACE = "envoy.filters.http.jwt_authn"
"""Where Envoy's filter puts verified claims (`payload_in_metadata`); Istio's RequestAuthentication
configures it so. Only this filter can write there, a client cannot."""


def read_client_ip(message: ProcessingRequest) -> str:
    """Read the attribute `source.address`, which is `ip:port` or `[ip]:port`."""
    known = message.attributes.get(ATTRIBUTES)
    source = known.fields.get(SOURCE) if known else None
    if source is None:
        return ""
    return source.string_value.rpartition(":")[0].removeprefix("[").removesuffix("]")


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


SUBSET_NAMESPACE = "envoy.lb.subset_hint"
SUBSET_KEY = "x-gateway-destination-endpoint-subset"
"""Endpoint Picker Protocol (proposal 004): which endpoints the data plane would accept."""


def read_subset(message: ProcessingRequest) -> tuple[str, ...] | None:
    """Read the endpoints to pick from, a list or text with commas; None when nothing is said."""
    known = message.metadata_context.filter_metadata
    if SUBSET_NAMESPACE not in known or SUBSET_KEY not in known[SUBSET_NAMESPACE].fields:
        return None
    said = known[SUBSET_NAMESPACE].fields[SUBSET_KEY]
    listed = [each.string_value for each in said.list_value.values] or [said.string_value]
    named = (each.strip() for text in listed for each in text.split(","))
    return tuple(dict.fromkeys(each for each in named if each))


def read_served(message: ProcessingRequest) -> str:
    """Read which endpoint the data plane chose in the end; empty when it does not say."""
    known = message.metadata_context.filter_metadata
    if ENDPOINT_NAMESPACE not in known or SERVED_KEY not in known[ENDPOINT_NAMESPACE].fields:
        return ""
    return known[ENDPOINT_NAMESPACE].fields[SERVED_KEY].string_value


def read_status(message: ProcessingRequest) -> int:
    """Read `:status` of an answer's headers; 0 when it makes no sense."""
    for header in message.response_headers.headers.headers:
        if header.key == ":status":
            text = header.raw_value.decode("latin-1") or header.value
            return int(text) if text.isascii() and text.isdecimal() else 0
    return 0


def read_encoding(message: ProcessingRequest) -> str:
    """Read how an answer's body is encoded; empty when it is not."""
    said = [
        header.raw_value.decode("latin-1") or header.value
        for header in message.response_headers.headers.headers
        if header.key == "content-encoding"
    ]
    named = [each.strip().lower() for text in said for each in text.split(",")]
    return ",".join(each[:20] for each in named if each not in ("", "identity"))


def set_header(mutation: HeaderMutation, name: str, value: str) -> None:
    """Add one header to set. `raw_value`, because Envoy ignores `value` here."""
    added = mutation.set_headers.add().header
    added.key = name
    added.raw_value = value.encode("latin-1")


def set_metadata(struct: Struct, metadata: Metadata) -> None:
    """Write metadata. Numbers become doubles: exact up to 2**53, which no count of ours nears."""
    for namespace, known in metadata.items():
        inner = struct.fields[namespace].struct_value.fields
        for name, value in known.items():
            set_value(inner[name], value)


def set_value(here: Value, value: Tree) -> None:
    match value:
        case str():
            here.string_value = value
        case bool():
            here.bool_value = value
        case int() | float():
            here.number_value = value
        case Mapping():
            here.struct_value.SetInParent()
            for name, member in value.items():
                set_value(here.struct_value.fields[name], member)
        case _:
            here.list_value.SetInParent()
            for item in value:
                set_value(here.list_value.values.add(), item)


class StructView(Mapping[str, Scalar]):
    """A struct's members, each read when it is asked for: most requests end without a question."""

    def __init__(self, struct: Struct | None) -> None:
        self._fields: Mapping[str, Value] = struct.fields if struct else {}

    def __getitem__(self, name: str) -> Scalar:
        if name not in self._fields:  # a look-up in a protobuf map would add it
            raise KeyError(name)
        return read_value(self._fields[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


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


def mask_text(raw: bytes, kind: type[Message]) -> bytes:
    """Put a question mark for every byte that makes a text of this message no UTF-8: protobuf refuses
    the whole message for it. Nothing gets longer or shorter. Raises: DecodeError.
    """
    masked = bytearray(raw)
    try:
        mask_fields(masked, cast("Descriptor", kind.DESCRIPTOR), 0, len(masked))
    except IndexError:
        raise DecodeError("a message that ends in the middle") from None
    return bytes(masked)


VARINT, BYTES = 0, 2
FIXED = {1: 8, 5: 4}
"""Wire types, and the bytes of those that have a size of their own: protobuf's encoding."""


def mask_fields(raw: bytearray, kind: Descriptor, at: int, end: int) -> None:
    while at < end:
        tag, at = read_varint(raw, at)
        wire = tag & 7
        if wire == VARINT:
            _, at = read_varint(raw, at)
        elif wire != BYTES:
            if wire not in FIXED:
                raise DecodeError(f"a field of wire type {wire}")
            at += FIXED[wire]
        else:
            size, at = read_varint(raw, at)
            field = kind.fields_by_number.get(tag >> 3)
            if field and field.message_type:
                mask_fields(raw, field.message_type, at, at + size)
            elif field and field.type == FieldDescriptor.TYPE_STRING:
                text = raw[at : at + size].decode(errors="surrogateescape")
                raw[at : at + size] = text.encode(errors="replace")
            at += size


def read_varint(raw: bytearray, at: int) -> tuple[int, int]:
    """Read a number and say where it ends. Raises: IndexError."""
    value = shift = 0
    while raw[at] & 0x80:
        value |= (raw[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | raw[at] << shift, at + 1
