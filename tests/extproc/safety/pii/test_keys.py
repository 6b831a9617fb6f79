"""Keys of services, one of each, in a sentence."""

import pytest

from extproc.safety.pii.engine import Said, shipped
from extproc.safety.pii.finding import resolve

LONG = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6"


@pytest.mark.parametrize(
    "key",
    [
        f"sk-{LONG}",
        f"sk-ant-api03-{LONG}",
        "AKIAIOSFODNN7EXAMPLE",
        f"ghp_{LONG[:36]}",
        f"github_pat_{LONG[:30]}",
        f"glpat-{LONG[:20]}",
        f"xoxb-123456789012-{LONG[:24]}",
        f"sk_live_{LONG[:24]}",
        f"AIza{LONG[:35]}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJ{LONG}.{LONG}",
        f"hf_{LONG[:34]}",
        f"npm_{LONG[:36]}",
        f"pypi-Ag{LONG}",
        f"SG.{LONG[:22]}.{LONG[:43]}",
        "SK" + "0123456789abcdef" * 2,
        f"123456789:{LONG[:35]}",
        f"LTAI{LONG[:20]}",
        f"AKID{LONG[:32]}",
    ],
)
@pytest.mark.parametrize("frame", ["密钥{}泄露了", "my key {} leaked", '"{}"', "{}"])
def test_each_is_found_whole(key, frame):
    text = frame.format(key)
    found = resolve(shipped().find([Said(text)])[0])
    assert [(each.type, text[each.start : each.end]) for each in found] == [("api_key", key)]


def test_what_is_assigned():
    text = f'aws_secret_access_key = "{LONG[:40]}" and hooks.slack.com'
    found = resolve(shipped().find([Said(text)])[0])
    assert [text[each.start : each.end] for each in found] == [LONG[:40]]


def test_a_long_token_is_found_whole():
    token = f"eyJhbGciOiJIUzI1NiJ9.eyJ{LONG * 60}.{LONG}"
    found = resolve(shipped().find([Said(f"Bearer {token}")])[0])
    assert [(each.start, each.end) for each in found] == [(7, 7 + len(token))]
