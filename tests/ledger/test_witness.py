import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.sighting import MAX_TEXT, End, Labels, Origin, Renewal, Usage
from ledger.witness import MAX_COUNT, BadLineError, read_line
from tests.ledger.lines import START_MS, TRACE_ID, anonymous, end, log_line, periodic

NOW_MS = START_MS + 5_000


def read(line):
    return read_line(line, "f:0", NOW_MS)


def test_an_end_says_all_of_it():
    assert read(end()) == End(
        key="s1",
        start_ms=START_MS,
        origin=Origin(
            request_id="r1",
            trace_id=TRACE_ID,
            operation="chat",
            tenant="acme",
            project="support",
            user="u1",
            key_id="k1",
            model="tiny",
            pool="tiny-v1",
            policy="p0",
        ),
        usage=Usage(7, 5, 2),
        status=200,
        details="via_upstream",
        endpoint="10.0.0.1:8000",
        attempts=1,
        latency_us=900_000,
        ttft_us=120_000,
    )


def test_a_periodic_entry_is_a_renewal_with_the_usage_so_far():
    seen = read(periodic(usage={"prompt_tokens": 7.0, "completion_tokens": 1.0}))
    assert isinstance(seen, Renewal)
    assert seen.usage == Usage(7, 1, None)


@pytest.mark.parametrize("kind", ["DownstreamStart", "UpstreamEnd", "", None, 3])
def test_other_types_are_of_no_interest(kind):
    assert read(log_line(type=kind)) is None


def test_before_a_decision_there_is_nothing_to_renew():
    assert read(periodic(said={})) is None
    assert read(log_line(type="DownstreamPeriodic", headgate=None)) is None


def key_of(line, place):
    return read_line(line, place, NOW_MS).key


def test_without_metadata_the_line_and_its_offset_are_the_key():
    key = key_of(anonymous(), "1f-ab:4096")
    assert re.fullmatch(r"log:[0-9a-f]{32}", key)
    assert key == key_of(anonymous(), "2e-cd:4096"), "a copy of the log is another file"
    assert key != key_of(anonymous(), "1f-ab:8192"), "two requests may look alike"
    assert key != key_of(anonymous(status=503), "1f-ab:4096"), "the log may have begun anew"
    assert read(anonymous()).origin.tenant is None


@pytest.mark.parametrize("said", [None, [], {"settle_key": ""}, {"settle_key": 7}])
def test_what_is_no_settle_key_is_none(said):
    assert read(end(headgate=said)).key.startswith("log:")


@pytest.mark.parametrize(
    ("said", "traceparent", "trace_id"),
    [
        ({"trace_id": "a" * 32}, f"00-{TRACE_ID}-b7ad6b7169203331-01", "a" * 32),
        ({"trace_id": "a" * 32}, None, "a" * 32),
        ({"trace_id": ""}, f"00-{TRACE_ID}-b7ad6b7169203331-01", TRACE_ID),
        (None, f"00-{TRACE_ID}-b7ad6b7169203331-01", TRACE_ID),
    ],
)
def test_the_trace_is_the_one_that_was_decided_on(said, traceparent, trace_id):
    assert read(end(headgate=said, traceparent=traceparent)).origin.trace_id == trace_id


@pytest.mark.parametrize(
    ("members", "field", "value"),
    [
        ({"status": None}, "status", None),
        ({"status": "200"}, "status", None),
        ({"status": True}, "status", None),
        ({"latency_us": -1}, "latency_us", None),
        ({"latency_us": MAX_COUNT + 1}, "latency_us", None),
        ({"ttft_us": None}, "ttft_us", None),
        ({"attempts": None}, "attempts", 0),
        ({"endpoint": ""}, "endpoint", None),
        ({"flags": "UF,URX"}, "flags", frozenset({"UF", "URX"})),
        ({"flags": None}, "flags", frozenset()),
        ({"details": None}, "details", ""),
        ({"time": None}, "start_ms", NOW_MS),
        ({"time": "yesterday"}, "start_ms", NOW_MS),
        ({"time": "2025-10-09T08:53:20"}, "start_ms", NOW_MS),
        ({"usage": "none"}, "usage", Usage()),
        ({"usage": {"prompt_tokens": "7", "completion_tokens": 5}}, "usage", Usage(None, 5)),
        ({"usage": {"prompt_tokens": -7}}, "usage", Usage()),
    ],
)
def test_what_is_missing_or_odd_is_unknown_and_the_rest_counts(members, field, value):
    assert getattr(read(end(**members)), field) == value


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        "00",
        "00-short-b7ad6b7169203331-01",
        f"00-{TRACE_ID}",
        f"00-{TRACE_ID.upper()}-b7ad6b7169203331-01",
        f"00-{TRACE_ID}0-b7ad6b7169203331-01",
        f"00-{'g' * 32}-b7ad6b7169203331-01",
    ],
)
def test_a_broken_traceparent_gives_no_trace_id(traceparent):
    assert read(end(traceparent=traceparent)).origin.trace_id is None


def test_long_texts_are_cut():
    seen = read(end(request_id="r" * 60_000))
    assert seen.origin.request_id == "r" * MAX_TEXT


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   ",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"type":',
        b"\xff\xfe",
        b"\0" * 40,
        b"[" * 100_000,
    ],
)
def test_what_is_no_entry_is_bad(line):
    with pytest.raises(BadLineError):
        read(line)


def test_a_member_of_a_torn_line_is_no_entry():
    with pytest.raises(BadLineError):
        read(b'{"type":"DownstreamEnd","usage":{"prompt_tokens":1}')


@settings(deadline=None)
@given(cut=st.integers(1, 500))
def test_a_line_written_behind_a_torn_one_is_saved(cut):
    torn = end("dead")[:cut]
    assert read(torn + end("alive")).key == "alive"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
members = st.sampled_from(sorted(json.loads(end()).keys() - {"type"}))
said = st.sampled_from(["settle_key", "tenant", "model", "deny", "prompt_tokens", "cached_tokens"])


@settings(deadline=None)
@given(
    odd=st.dictionaries(members, json_values | st.dictionaries(said, json_values)),
)
def test_no_object_is_ever_dropped(odd):
    line = json.dumps({**json.loads(end()), **odd}).encode()
    seen = read(line)
    assert isinstance(seen, End)
    assert seen.key
    numbers = (seen.status, seen.latency_us, seen.ttft_us, seen.attempts)
    assert all(n is None or 0 <= n <= MAX_COUNT for n in (*numbers, seen.usage.prompt_tokens))


def test_what_policy_and_catalog_add():
    said = {"settle_key": "s1", "track": "canary", "version": "v2", "n": 3.0, "region": "eu"}
    said |= {"price": "1//2", "groups": "b,a,b"}
    origin = read(end(said=said)).origin
    assert (origin.track, origin.version, origin.n) == ("canary", "v2", 3)
    assert (origin.region, origin.price, origin.groups) == ("eu", "1//2", "a,b")


@pytest.mark.parametrize(
    ("groups", "read_as"),
    [
        (["b", "a", "b"], "a,b"),
        ("b,,a", "a,b"),
        ([1, None, "a"], "a"),
        ([], None),
        ("", None),
        (5, None),
        ([f"group-{n:03}" for n in range(500)], ",".join(f"group-{n:03}" for n in range(102))),
    ],
)
def test_groups(groups, read_as):
    assert read(end(said={"settle_key": "s1", "groups": groups})).origin.groups == read_as


def test_labels_of_the_endpoint():
    labels = {"cluster": "c1", "gpu": "h100", "gpus": 8.0, "watts": "700", "usd_per_kwh": 0.25}
    found = read(end(endpoint_labels={**labels, "zone": "z", "decode_tokens_per_s": True})).labels
    assert found == Labels(cluster="c1", gpu="h100", gpus="8.0", watts="700", usd_per_kwh="0.25")
    assert read(end(endpoint_labels=None)).labels is None
    assert read(end(endpoint_labels=["gpu"])).labels is None


@pytest.mark.parametrize("n", [0, -1, 2**20 + 1, "2", True, None, 1e300])
def test_a_number_of_answers_that_makes_no_sense(n):
    assert read(end(said={"settle_key": "s1", "n": n})).origin.n is None


def test_more_tokens_than_there_can_be_are_unknown():
    usage = {"prompt_tokens": 2**24, "completion_tokens": 2**24 + 1}
    assert read(end(usage=usage)).usage == Usage(2**24, None, None)


def test_what_no_database_takes_is_replaced():
    said = {"settle_key": "s\0", "model": "a\0b", "groups": ["\0"]}
    seen = read(end(said=said))
    assert (seen.key, seen.origin.model, seen.origin.groups) == ("s\ufffd", "a\ufffdb", "\ufffd")


def test_a_start_in_another_year_is_now():
    ahead = START_MS + 5_000 + 24 * 3600 * 1000
    assert read(end(start_ms=ahead)).start_ms == ahead
    assert read(end(start_ms=ahead + 1)).start_ms == NOW_MS
