"""What was seen, in words."""

import msgspec
import pytest

from faults.chaos.scene import Answer, Line
from faults.chaos.seen import ChaosError, check, tell_client, tell_ledger

BAD = {"code": "engine_unavailable", "type": "server_error", "message": "No."}
LINE = Line(200, "127.0.0.1:1", 1, 30, 5, cut=False, estimated=False, deny_reason=None)


def answer(status, ended="whole", error=None, **headers):
    body = msgspec.json.encode({"error": error}) if error else b""
    return Answer("r", status, ended, body, headers)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (answer(200), "200, the whole answer"),
        (answer(200, "incomplete"), "200, cut: the connection is closed before the answer's end"),
        (answer(200, "reset"), "200, cut: the stream is reset"),
        (answer(200, "left"), "200, nothing more until it leaves"),
        (answer(0, "left"), "nothing until it leaves"),
        (answer(503, error=BAD), "503 `engine_unavailable`"),
        (answer(503, error=BAD, **{"retry-after": "1"}), "503 `engine_unavailable`, `Retry-After`"),
        (answer(500, error=BAD | {"code": 500, "type": "Inner"}), "500 `Inner`"),
    ],
)
def test_what_a_client_saw(seen, said):
    assert tell_client(seen) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "200, all of it"),
        ({"cut": True}, "200, cut, what came"),
        ({"completion_tokens": 0}, "200, the prompt"),
        ({"status": 503, "prompt_tokens": 0, "completion_tokens": 0}, "503, nothing"),
        (
            {"prompt_tokens": None, "completion_tokens": None, "cut": True, "estimated": True},
            "200, cut, estimated, nothing is known",
        ),
        (
            {
                "status": 503,
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "deny_reason": "no_endpoint",
            },
            "503, refused: no_endpoint",
        ),
    ],
)
def test_what_the_ledger_says(changes, said):
    assert tell_ledger(msgspec.structs.replace(LINE, **changes)) == said


def test_what_does_not_hold_is_said():
    check([1], "fine")
    with pytest.raises(ChaosError, match="it was sent twice"):
        check(holds=False, said="it was sent twice")
