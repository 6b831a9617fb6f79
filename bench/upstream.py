"""What stands in for the engine, and what is sent to it.

For JSON, a second Envoy that answers every chat by itself: it costs little, always the same, and
speaks HTTP like the real thing. For streams, the built-in engine (`engines/sim`).
"""

import json

from bench.variants import BENCH_POOL_HEADER

KEY = "sk-headgate-acme"
"""Of the demo policy."""
MODEL = "bench"
STREAM_MODEL = "bench-stream"
POOL = "json"
STREAM_POOL = "stream"

BODY_BYTES = 4096
"""Size of a chat: a system prompt and some turns."""

WORDS = "The gateway reads what a client asks and says where it goes. "

ANSWER = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1_760_000_000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": WORDS * 8},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 900,
        "total_tokens": 1010,
        "completion_tokens": 110,
        "prompt_tokens_details": {"cached_tokens": 512},
    },
}


def chat(size: int = BODY_BYTES) -> bytes:
    """A chat of exactly `size` bytes, in four messages."""
    document = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": WORDS * 8},
            {"role": "user", "content": WORDS * 4},
            {"role": "assistant", "content": WORDS * 12},
            {"role": "user", "content": ""},
        ],
        "temperature": 0.7,
        "max_tokens": 256,
    }
    missing = size - len(json.dumps(document))
    document["messages"][3]["content"] = (WORDS * (missing // len(WORDS) + 1))[:missing]  # type: ignore[index]  # ours, above
    return json.dumps(document).encode()


def stream_chat(tokens: int, itl_ms: float, *, asks_usage: bool) -> bytes:
    """A chat answered with `tokens` events, one every `itl_ms`.

    With `asks_usage` the client asks for what Headgate adds on its own, so that engines send the
    same bytes with and without it.
    """
    document: dict[str, object] = {
        "model": STREAM_MODEL,
        "messages": [{"role": "user", "content": WORDS}],
        "stream": True,
        "max_tokens": tokens,
        "ignore_eos": True,
        "x_sim": {"ttft_ms": itl_ms, "itl_ms": itl_ms},
    }
    if asks_usage:
        document["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    return json.dumps(document).encode()


def http_request(body: bytes, pool: str) -> bytes:
    """The bytes that a client sends: the headers of OpenAI's Python SDK, and the body."""
    head = (
        "POST /v1/chat/completions HTTP/1.1",
        "Host: 127.0.0.1",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
        "Content-Type: application/json",
        "User-Agent: OpenAI/Python 2.2.0",
        "X-Stainless-Lang: python",
        "X-Stainless-Package-Version: 2.2.0",
        "X-Stainless-OS: Linux",
        "X-Stainless-Arch: x64",
        "X-Stainless-Runtime: CPython",
        "X-Stainless-Runtime-Version: 3.11.0",
        "X-Stainless-Async: false",
        "X-Stainless-Retry-Count: 0",
        "X-Stainless-Read-Timeout: 600",
        f"Authorization: Bearer {KEY}",
        f"{BENCH_POOL_HEADER}: {pool}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def upstream_bootstrap(port: int) -> str:
    """Envoy's bootstrap for the JSON upstream, in JSON."""
    prefix = "type.googleapis.com/envoy.extensions.filters"
    answer = {"status": 200, "body": {"inline_string": json.dumps(ANSWER)}}
    content_type = {"key": "content-type", "value": "application/json"}
    route = {
        "match": {"prefix": "/"},
        "direct_response": answer,
        "response_headers_to_add": [
            {"header": content_type, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    }
    # Reads the whole request first: an answer that overtakes it would close the connection.
    buffer = {"@type": f"{prefix}.http.buffer.v3.Buffer", "max_request_bytes": 1 << 20}
    manager = {
        "@type": f"{prefix}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "upstream",
        "http_filters": [
            {"name": "buffer", "typed_config": buffer},
            {"name": "router", "typed_config": {"@type": f"{prefix}.http.router.v3.Router"}},
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    listener = {
        "name": "upstream",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return json.dumps({"static_resources": {"listeners": [listener]}}, indent=2) + "\n"
