import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.epp.usage import KEPT_BYTES, Tail, read_usage
from tests.extproc.chunking import chunked, recorded

OLDER = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
NEWER = {"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}
COUNTS = {"prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 4}


def told(*chunks):
    tail = Tail()
    assert b"".join(tail.feed(chunk) for chunk in chunks) + tail.finish() == b"".join(chunks)
    return tail.usage()


@pytest.mark.parametrize("usage", [OLDER, NEWER], ids=["older", "newer"])
def test_names_of_every_api(usage):
    document = {"choices": [{"text": "x" * 3 * KEPT_BYTES}], "usage": usage, "kv": None}
    assert told(json.dumps(document).encode()) == COUNTS


@given(st.data())
@pytest.mark.parametrize("size", [1, KEPT_BYTES, 4 * KEPT_BYTES])
def test_whatever_a_client_has_engines_tell_behind_it(size, data):
    document = {"usage": OLDER, "prompt_logprobs": ["x" * size]}
    assert told(*data.draw(chunked(json.dumps(document).encode()))) == COUNTS


def test_the_last_word_counts():
    event = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": %d}}\n\n'
    events = [event % number for number in range(1, 1000)]
    assert told(*events) == told(b"".join(events)) == {"prompt_tokens": 7, "completion_tokens": 999}
    rest = [b"data: {}\n\n"] * 1000
    assert told(*events, *rest) == {"prompt_tokens": 7, "completion_tokens": 999}


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        ('{"usage": {"prompt_tokens": 1}} {"usage":{"prompt_tokens":2}}', {"prompt_tokens": 2}),
        ('{"usage":{"prompt_tokens":1}} data: {"usage":{"prom', {"prompt_tokens": 1}),
        ('{"usage": null}', {}),
        (json.dumps({"text": 'say "usage": {"prompt_tokens": 9}'}), {}),
        ('{"usage": {"prompt_tokens": "7", "prompt_tokens_details": null}}', {}),
        ('{"usage": {"prompt_tokens_details": {"cached_tokens": null}}}', {}),
        ('"usage":' + '{"a":' * 10_000, {}),
        ("", {}),
    ],
)
def test_what_can_be_read(text, usage):
    assert read_usage(text.encode()) == usage


def test_a_stream_without_usage_has_a_token_in_each_event():
    events = [b'data: {"choices": []}\n\n'] * 6
    assert told(*events) == {"completion_tokens": 4}
    assert told(*events[:2]) == {}


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@given(st.data())
def test_however_it_is_cut(kind, data):
    whole = data.draw(st.sampled_from(recorded(kind)))
    assert told(*data.draw(chunked(whole))) == told(whole)
