"""How an answer is written, told by how it begins: one JSON document, or server-sent events."""

from extproc.dialects.sse import BOM

JSON_SIGNS = (b"{", b"[")


def open_answer(begun: bytes) -> tuple[bool, bytes] | None:
    """Tell whether it is JSON, and what there is of it; None as long as nothing in it tells.

    Byte order marks are left out. RFC 8259 (8.1) lets readers of JSON ignore one, and clients do; parsers
    of ours refuse it.
    """
    rest = begun.lstrip()
    while rest.startswith(BOM):
        begun = rest = rest.removeprefix(BOM).lstrip()
    if BOM.startswith(rest):  # nothing yet, or half a mark
        return None
    return rest.startswith(JSON_SIGNS), begun


def may_be_object(data: bytes) -> bool:
    """Whether the data of an event may be a JSON object. Spaces may stand before one."""
    return data.startswith(b"{") or data.lstrip().startswith(b"{")
