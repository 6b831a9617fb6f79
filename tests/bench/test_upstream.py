import json

import msgspec
import pytest

from bench.upstream import (
    BODY_BYTES,
    MODEL,
    POOL,
    STREAM_MODEL,
    STREAM_POOL,
    chat,
    http_request,
    stream_chat,
    upstream_bootstrap,
)
from bench.variants import BENCH_POOL_HEADER


@pytest.mark.parametrize("size", [2048, BODY_BYTES, 9999])
def test_a_chat_has_the_size_that_was_asked_for(size):
    assert len(chat(size)) == size
    document = json.loads(chat(size))
    assert document["model"] == MODEL
    assert "stream" not in document
    assert [m["role"] for m in document["messages"]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("asks", [False, True])
def test_a_stream_asks_for_usage_or_leaves_it_to_the_gateway(asks):
    document = json.loads(stream_chat(500, 10.0, asks_usage=asks))
    assert (document["model"], document["stream"]) == (STREAM_MODEL, True)
    options = {"include_usage": True, "continuous_usage_stats": True}
    assert document.get("stream_options") == (options if asks else None)
    assert (document["max_tokens"], document["x_sim"]["itl_ms"]) == (500, 10.0)


def test_a_request_is_whole():
    head, _, body = http_request(b"{}", STREAM_POOL).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert headers["Content-Length"] == "2"
    assert headers[BENCH_POOL_HEADER] == STREAM_POOL != POOL
    assert body == b"{}"


def test_the_upstream_listens_where_it_was_told_and_answers_with_usage():
    tree = json.loads(upstream_bootstrap(4711))
    listener = tree["static_resources"]["listeners"][0]
    assert listener["address"]["socket_address"]["port_value"] == 4711
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (route,) = manager["route_config"]["virtual_hosts"][0]["routes"]
    answer = msgspec.json.decode(route["direct_response"]["body"]["inline_string"])
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
