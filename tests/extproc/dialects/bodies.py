"""The smallest body of each operation, and what the checks of a dialect have in common."""

import json

from extproc.decision import Deny
from extproc.dialects.shapes import read
from extproc.errors import Reason
from extproc.request import Kind

MINIMAL = {
    Kind.CHAT: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    Kind.COMPLETIONS: {"model": "m", "prompt": "hi"},
    Kind.EMBEDDINGS: {"model": "m", "input": "hi"},
    Kind.RESPONSES: {"model": "m", "input": "hi"},
    Kind.MESSAGES: {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    },
    Kind.COUNT_TOKENS: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
}


def ask(kind, **members):
    return read(kind, json.dumps({**MINIMAL[kind], **members}).encode())


def check_refused(denied, param):
    assert isinstance(denied, Deny), "passed"
    assert (denied.reason, denied.param) == (Reason.INVALID_REQUEST, param)
    assert denied.message.startswith(f"'{param}'")
    assert denied.message.endswith(".")
    assert len(denied.message) < 200
    assert "`" not in denied.message
    assert "$" not in denied.message
    assert "sk-key" not in denied.message


def check_tables(shape, kind, good, refused):
    """Every member of a shape is tried and refused at least once by the tables of its test."""
    known = set(shape.__struct_encode_fields__)
    assert known <= {name for members in good for name in members} | set(MINIMAL[kind])
    assert known <= {name for members in refused for name in members}
