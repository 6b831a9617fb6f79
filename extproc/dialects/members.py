"""What a member of a body may be, asked before there is a body: for rules that set members."""

import msgspec

from extproc.dialects.lengths import ANY_LENGTH, LENGTHS
from extproc.dialects.shapes import SHAPES
from extproc.request import Kind


def find_wrong(kind: Kind, name: str, value: object) -> str | None:
    """Say what is wrong with a value for a member of this operation's bodies; None when it is
    right, or when engines alone know the member. Each name of the length stands for all of them."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(SHAPES[kind])}
    for each in LENGTHS.get(kind, ()) if name in ANY_LENGTH else (name,):
        try:
            msgspec.convert(value, fields.get(each, object))
        except msgspec.ValidationError as exc:
            said = str(exc).partition(" - at ")[0].replace("`", "'")
            return f"{said[:1].lower()}{said[1:]}"
    return None
