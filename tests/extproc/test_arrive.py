"""Headers -> Request, whatever the headers say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.arrive import TRACEPARENT, arrive

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_head_of_an_ordinary_request():
    request = arrive(
        [
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            ("x-request-id", "r1"),
            ("traceparent", TRACE),
            ("authorization", "Bearer k"),
        ]
    )
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert (request.request_id, request.traceparent) == ("r1", TRACE)
    assert request.headers["authorization"] == "Bearer k"
    assert request.facts == {}


def test_nothing_given_is_nothing_known_but_the_ids_we_make():
    request = arrive([])
    assert (request.method, request.path, request.request_id) == ("", "", "")
    assert TRACEPARENT.fullmatch(request.traceparent)
    assert request.settle_key


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/v1/models?api_key=s3cret", "/v1/models"),
        ("/v1/models?", "/v1/models"),
        ("/v1/models??a?b", "/v1/models"),
        ("?a", ""),
        ("/v1/models/a%3Fb", "/v1/models/a%3Fb"),
    ],
)
def test_the_query_string_is_dropped(path, kept):
    assert arrive([(":path", path)]).path == kept


@pytest.mark.parametrize(
    ("values", "joined"),
    [
        (("Bearer a", "Bearer b"), "Bearer a,Bearer b"),
        (("Bearer a", ""), "Bearer a,"),
        (("", "Bearer a"), ",Bearer a"),
        (("a", "b", "c"), "a,b,c"),
    ],
)
def test_a_header_sent_twice_is_joined_not_chosen_from(values, joined):
    request = arrive([("authorization", value) for value in values])
    assert request.headers["authorization"] == joined


@pytest.mark.parametrize("length", [1, 256, 257, 60_000])
def test_a_request_id_is_kept_up_to_a_length(length):
    request = arrive([("x-request-id", "a" * length)])
    assert request.request_id == "a" * min(length, 256)


def test_what_is_shown_of_a_request_is_no_secret():
    pairs = [("authorization", "Bearer s3cret"), (":path", "/v1/models?key=s3cret")]
    assert "s3cret" not in repr(arrive(pairs))


def test_a_trace_sent_twice_is_no_trace():
    assert arrive([("traceparent", TRACE)] * 2).traceparent != TRACE


@pytest.mark.parametrize(
    "given",
    [
        "",
        "garbage",
        TRACE + "\n",
        TRACE + "-extra",
        " " + TRACE,
        TRACE.upper(),
        TRACE.replace("00-", "01-", 1),
        TRACE.replace("00-", "ff-", 1),
        TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        TRACE.replace("b7ad6b7169203331", "0" * 16),
        TRACE.replace("0af7", "0ag7"),
        TRACE.replace("0af7", "\N{FULLWIDTH DIGIT ZERO}af7"),
        TRACE[:-1],
    ],
)
def test_an_invalid_trace_is_replaced(given):
    minted = arrive([("traceparent", given)]).traceparent
    assert minted != given
    assert TRACEPARENT.fullmatch(minted)


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_a_valid_trace_is_kept_whatever_its_flags(flags):
    given = TRACE[:-2] + flags
    assert arrive([("traceparent", given)]).traceparent == given


def test_settle_keys_never_repeat_and_sort_by_time():
    keys = [arrive([]).settle_key for _ in range(1000)]
    assert len(set(keys)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)
    stamps = [key[:12] for key in keys]
    assert stamps == sorted(stamps)


def test_the_client_cannot_choose_its_settle_key():
    pairs = [("x-request-id", "r1"), ("traceparent", TRACE), ("x-headgate-settle-key", "mine")]
    first, second = arrive(pairs), arrive(pairs)
    assert first.request_id == second.request_id
    assert first.settle_key != second.settle_key
    assert "mine" not in (first.settle_key, second.settle_key)


def test_minted_traces_are_valid_sampled_and_unlike():
    minted = {arrive([]).traceparent for _ in range(100)}
    assert len(minted) == 100
    assert all(TRACEPARENT.fullmatch(each) and each.endswith("-01") for each in minted)


def test_a_trace_tells_nothing_of_the_settle_key():
    """Engines and clients see the one and must not guess the other."""
    request = arrive([])
    secret, shown = request.settle_key[12:], request.traceparent.replace("-", "")
    alike = 14  # by chance, one in 10^15 of them
    assert not any(secret[i : i + alike] in shown for i in range(len(secret) - alike + 1))


NAMES = st.sampled_from([":method", ":path", "x-request-id", "traceparent", "authorization", "x"])
LATIN_1 = st.text(st.characters(max_codepoint=255))


@given(st.lists(st.tuples(NAMES, LATIN_1)))
def test_any_headers_make_a_request(pairs):
    request = arrive(pairs)
    assert "?" not in request.path
    assert TRACEPARENT.fullmatch(request.traceparent)
    assert re.fullmatch("[0-9a-f]{32}", request.trace_id)
    for name, value in pairs:
        assert value in request.headers[name]
