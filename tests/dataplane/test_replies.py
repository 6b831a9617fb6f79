import json
import re

import pytest

from dataplane import replies
from dataplane.gateway import MIB
from dataplane.replies import LocalReply, local_replies
from extproc import errors
from tests.dataplane.test_gateway import gateway


def test_every_body_is_an_openai_error():
    for reply in local_replies(gateway()):
        error = json.loads(reply.body.replace("%%", "%"))["error"]
        assert set(error) == {"message", "type", "param", "code"}
        is_ours = (reply.sent_as or reply.status) >= 500
        assert error["type"] == ("server_error" if is_ours else "invalid_request_error")
        assert error["code"] == reply.code


def test_every_body_is_an_anthropic_error_too():
    for reply in local_replies(gateway()):
        body = reply.anthropic_body
        assert list(body) == ["type", "error", "request_id"]
        assert body["type"] == "error"
        assert body["error"]["message"].replace("%%", "%") == reply.message
        assert (body["error"]["type"] in ("api_error", "overloaded_error", "timeout_error")) == (
            reply.sent_status >= 500
        )


def test_both_tables_of_anthropic_types_agree():
    assert replies.ANTHROPIC_TYPES.items() <= errors.ANTHROPIC_TYPES.items()
    sent = {reply.sent_status for reply in local_replies(gateway())}
    assert sent & errors.ANTHROPIC_TYPES.keys() <= replies.ANTHROPIC_TYPES.keys()


@pytest.mark.parametrize(
    ("path", "is_anthropic"),
    [
        ("/v1/messages", True),
        ("/v1/messages?beta=true", True),
        ("/v1/messages/count_tokens", True),
        ("/v1/messagesx", False),
        ("/v1/chat/completions", False),
        ("/x/v1/messages", False),
    ],
)
def test_the_line_is_drawn_where_headgate_draws_it(path, is_anthropic):
    regex = replies.FOR_ANTHROPIC["header_filter"]["header"]["string_match"]["safe_regex"]["regex"]
    assert bool(re.fullmatch(regex, path)) == is_anthropic


def test_every_status_from_400_up_falls_into_a_row():
    last_resorts = [reply.status for reply in local_replies(gateway()) if reply.and_above]
    assert last_resorts == [500, 400], "the higher one first: the first row that fits is taken"


def test_particular_rows_come_before_general_ones():
    rows = [(reply.status, reply.knowing, reply.and_above) for reply in local_replies(gateway())]
    assert len(set(rows)) == len(rows)
    for known in ("pool", "sidecar"):
        assert rows.index((503, known, False)) < rows.index((503, "", False))
    assert [is_general for *_, is_general in rows] == [False] * (len(rows) - 2) + [True] * 2


def test_only_a_503_is_worth_another_try():
    retried = [reply.status for reply in local_replies(gateway()) if reply.retry_after_s]
    assert retried == [503, 503, 503]


def test_the_limit_is_named():
    [row] = [r for r in local_replies(gateway(body_bytes=MIB // 2)) if r.status == 413]
    assert "0.5 MiB" in row.body


def test_a_percent_sign_is_no_format_command():
    assert LocalReply(400, "x", "100% wrong").body.count("100%% wrong") == 1
