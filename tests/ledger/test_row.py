import pytest

from ledger.row import Row, close, give_up, improve
from ledger.sighting import Departure, Origin, Renewal, Usage
from ledger.witness import read_line
from tests.ledger.lines import START_MS, USAGE, WHO, anonymous, end, periodic

HEAD_ONLY = {"settle_key": "s1", **WHO}
NO_ANSWER = {"endpoint": None, "attempts": 0, "usage": None, "ttft_us": None}
UNKNOWN = {"prompt_tokens": None, "completion_tokens": None, "cached_tokens": None}
NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
SEEN = {"prompt_tokens": 7, "completion_tokens": 5, "cached_tokens": 2}
COUNTED = {**HEAD_ONLY, "operation": "chat", "prompt_estimate": 9, "price": "1/0.5/2"}
PLAIN = {"cut": False, "estimated": False, "unsettled": False}
OURS = UNKNOWN | {"prompt_tokens": 9, "estimated": True}

CASES = {
    "completed": (end(), SEEN | PLAIN | {"status": 200, "attempts": 1, "deny_reason": None}),
    "engine does not report cached tokens": (
        end(usage={"prompt_tokens": 7, "completion_tokens": 5}),
        PLAIN | SEEN | {"cached_tokens": None},
    ),
    "embeddings have no completion": (
        end(said={**HEAD_ONLY, "operation": "embeddings"}, usage={"prompt_tokens": 7}),
        PLAIN | {"prompt_tokens": 7, "completion_tokens": 0},
    ),
    "a message that was cut names its prompt alone": (
        end(
            said={**HEAD_ONLY, "operation": "messages"},
            flags="DC",
            usage={"prompt_tokens": 7, "completion_tokens": 0},
        ),
        UNKNOWN | {"prompt_tokens": 7, "cut": True, "estimated": True},
    ),
    "a message that was cut behind its last count": (
        end(said={**HEAD_ONLY, "operation": "messages"}, flags="DC"),
        SEEN | {"cut": True, "estimated": False},
    ),
    "a message whose body never came": (
        end(said={**HEAD_ONLY, "operation": "messages"}, status=0, flags="DC", **NO_ANSWER),
        PLAIN | NOTHING | {"cut": True, "status": 0},
    ),
    "a response that was cut told nothing": (
        end(said={**HEAD_ONLY, "operation": "responses"}, flags="DC", usage=None),
        UNKNOWN | {"cut": True, "estimated": True},
    ),
    "the first event of a response is not its first token": (
        end(said={**HEAD_ONLY, "operation": "responses"}),
        PLAIN | SEEN | {"ttft_us": None, "latency_us": 900_000},
    ),
    "our own usage API has no tokens, so no first one": (
        end(said={**HEAD_ONLY, "operation": "usage"}, usage=None),
        PLAIN | {"ttft_us": None, "latency_us": 900_000},
    ),
    "the first event of a message is": (
        end(said={**HEAD_ONLY, "operation": "messages"}),
        PLAIN | SEEN | {"ttft_us": 120_000},
    ),
    "counting tokens costs none": (
        end(said={**HEAD_ONLY, "operation": "count_tokens"}, usage=None),
        PLAIN | NOTHING,
    ),
    "completed, but the engine said nothing": (
        end(usage=None),
        PLAIN | UNKNOWN | {"estimated": True},
    ),
    "completed, half of it said": (
        end(usage={"completion_tokens": 5}),
        PLAIN | UNKNOWN | {"estimated": True, "completion_tokens": 5},
    ),
    "denied in the header phase": (
        end(said={"settle_key": "s1", "deny": "invalid_api_key"}, status=401, **NO_ANSWER),
        PLAIN | NOTHING | {"status": 401, "deny_reason": "invalid_api_key", "attempts": 0},
    ),
    "denied in the body phase": (
        end(said={**HEAD_ONLY, "deny": "model_not_found"}, status=404, **NO_ANSWER),
        PLAIN | NOTHING | {"deny_reason": "model_not_found", "tenant": "acme"},
    ),
    "a fault of ours": (
        end(said={**HEAD_ONLY, "deny": "internal_error"}, status=500, **NO_ANSWER),
        PLAIN | NOTHING | {"deny_reason": "internal_error"},
    ),
    "retried, then completed": (
        end(attempts=2, endpoint="10.0.0.2:8000"),
        PLAIN | SEEN | {"attempts": 2, "endpoint": "10.0.0.2:8000"},
    ),
    "retries exhausted": (
        end(status=503, flags="UF,URX", details="upstream_reset", attempts=3, usage=None),
        PLAIN | NOTHING | {"status": 503, "attempts": 3},
    ),
    "client left while it sent the body": (
        end(said=HEAD_ONLY, status=0, flags="DC", **NO_ANSWER),
        PLAIN | NOTHING | {"cut": True, "status": 0, "model": None},
    ),
    "client left before the answer": (
        end(status=0, flags="DC", usage=None, ttft_us=None),
        PLAIN | UNKNOWN | {"cut": True, "estimated": True},
    ),
    "client left before the answer, and limits had counted the prompt": (
        end(said=COUNTED, status=0, flags="DC", usage=None, ttft_us=None),
        PLAIN | OURS | {"completion_tokens": 0, "cut": True, "uncached_pusd": 9_000_000},
    ),
    "client left in mid-stream, and nothing but our count is known": (
        end(said=COUNTED, flags="DC", usage=None),
        PLAIN | OURS | {"cut": True, "completion_pusd": None},
    ),
    "completed, and nothing but our count is known": (
        end(said=COUNTED, usage=None),
        PLAIN | OURS,
    ),
    "the engine's word is better than our count": (end(said=COUNTED), SEEN | PLAIN),
    "an error answer that broke off costs nobody, whatever was counted": (
        end(
            said=COUNTED,
            status=500,
            flags="UC",
            usage=None,
            details="upstream_reset_after_response_started",
        ),
        PLAIN | UNKNOWN | {"cut": True, "estimated": True},
    ),
    "client left in mid-stream": (
        end(flags="DC", details="downstream_remote_disconnect"),
        PLAIN | SEEN | {"cut": True},
    ),
    "client reset its HTTP/2 stream": (end(flags="DR"), PLAIN | SEEN | {"cut": True}),
    "the gateway ended the answer": (
        end(said={**HEAD_ONLY, "stopped": True}),
        PLAIN | SEEN | {"cut": True},
    ),
    "client left in mid-stream, nothing reported yet": (
        end(flags="DC", usage=None),
        PLAIN | UNKNOWN | {"cut": True, "estimated": True},
    ),
    "engine closed in mid-stream": (
        end(flags="UC", details="upstream_reset_after_response_started{connection_termination}"),
        PLAIN | SEEN | {"cut": True},
    ),
    "engine broke the protocol in mid-stream": (end(flags="UPE"), PLAIN | SEEN | {"cut": True}),
    "engine error answer, cut": (
        end(status=500, flags="UC", details="upstream_reset_after_response_started", usage=None),
        PLAIN | UNKNOWN | {"cut": True, "estimated": True},
    ),
    "engine closed before it answered": (
        end(status=503, flags="UC", details="upstream_reset_before_response_started", usage=None),
        PLAIN | NOTHING | {"status": 503},
    ),
    "engine too slow": (
        end(status=504, flags="UT", details="upstream_response_timeout", usage=None),
        PLAIN | NOTHING | {"status": 504},
    ),
    "reset before anything could be answered": (
        end(status=0, flags="LR", usage=None),
        PLAIN | UNKNOWN | {"cut": True, "estimated": True},
    ),
    "stream went idle": (end(flags="SI"), PLAIN | SEEN | {"cut": True}),
    "engine refused": (end(status=400, usage=None), PLAIN | NOTHING | {"status": 400}),
    "body too large for Envoy": (
        end(said=HEAD_ONLY, status=413, details="request_payload_too_large", **NO_ANSWER),
        PLAIN | NOTHING | {"status": 413, "tenant": "acme"},
    ),
    "malformed HTTP": (
        anonymous(status=400, flags="DPE", details="http1.codec_error", request_id=None),
        PLAIN | NOTHING | {"status": 400, "request_id": None, "tenant": None},
    ),
    "no ext_proc worker alive": (
        anonymous(status=503),
        PLAIN | NOTHING | {"status": 503, "tenant": None},
    ),
    "served although nobody decided": (
        anonymous(status=200, endpoint="10.0.0.1:8000", attempts=1),
        PLAIN | UNKNOWN | {"estimated": True},
    ),
    "list of models": (
        end(said={**HEAD_ONLY, "operation": "models"}, usage=None, attempts=0, endpoint=None),
        PLAIN | NOTHING,
    ),
    "list of models, by an engine": (
        end(said={**HEAD_ONLY, "operation": "models"}, usage=None),
        PLAIN | NOTHING,
    ),
}


@pytest.mark.parametrize(("line", "expected"), CASES.values(), ids=CASES)
def test_close(line, expected):
    row = close(Origin(), read_line(line, "f:0", START_MS))
    assert {name: getattr(row, name) for name in expected} == expected


def test_every_column_has_its_source():
    said = {**HEAD_ONLY, "model": "tiny", "pool": "tiny-v1"}
    said |= {"track": "canary", "version": "v2", "n": 2.0, "groups": ["b", "a"], "region": "eu"}
    said["price"] = "0.15/0.075/0.6"
    labels = {"cluster": "c1", "gpu": "h100", "watts": 700}
    labels |= {"prefill_tokens_per_s": 5000, "decode_tokens_per_s": 50.0, "usd_per_gpu_hour": "3.6"}
    line = end(said=said, endpoint_labels=labels)
    row = close(Origin(), read_line(line, "f:0", START_MS))
    assert row == Row(
        settle_key="s1",
        start_ms=START_MS,
        request_id="r1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        operation="chat",
        tenant="acme",
        project="support",
        user="u1",
        groups="a,b",
        region="eu",
        key_id="k1",
        model="tiny",
        track="canary",
        version="v2",
        pool="tiny-v1",
        cluster="c1",
        gpu="h100",
        endpoint="10.0.0.1:8000",
        n=2,
        **USAGE,
        price="0.15/0.075/0.6",
        uncached_pusd=5 * 150_000,
        cached_pusd=2 * 75_000,
        completion_pusd=5 * 600_000,
        gpu_us=101_000,
        energy_mj=70_700,
        own_pusd=101_000_000,
        status=200,
        ttft_us=120_000,
        latency_us=900_000,
        attempts=1,
        policy="p0",
    )


def test_the_journal_fills_in_what_the_log_lost():
    lost = read_line(end(said=HEAD_ONLY, status=0, flags="DC", **NO_ANSWER), "f:0", START_MS)
    known = Origin(tenant="never", model="tiny", pool="tiny-v1")
    row = close(known, lost)
    assert (row.tenant, row.model, row.pool) == ("acme", "tiny", "tiny-v1")
    assert row == improve(close(Origin(), lost), Departure("s1", START_MS, known))


def test_a_full_row_is_left_alone():
    row = close(Origin(), read_line(end(), "f:0", START_MS))
    assert improve(row, Departure("s1", START_MS, Origin(tenant="other"))) is row


DEPARTURE = Departure("s1", START_MS, Origin(model="tiny", operation="chat"))
RENEWAL = Renewal(
    "s1", START_MS, DEPARTURE.origin, Usage(7, 3), endpoint="e", attempts=1, latency_us=20_000_000
)


def test_given_up_with_nothing_but_the_journal():
    row = give_up(Origin(tenant="acme"), DEPARTURE)
    assert (row.unsettled, row.estimated, row.cut) == (True, True, False)
    assert (row.prompt_tokens, row.status, row.attempts) == (None, None, None)
    assert (row.tenant, row.model) == ("acme", "tiny")


def test_given_up_with_the_usage_seen_so_far():
    row = give_up(Origin(), RENEWAL)
    assert (row.unsettled, row.estimated) == (True, False)
    assert (row.prompt_tokens, row.completion_tokens) == (7, 3)
    assert (row.status, row.latency_us) == (None, 20_000_000)


@pytest.mark.parametrize("seen", [DEPARTURE, RENEWAL])
def test_an_unsettled_row_is_not_improved_by_what_it_was_made_from(seen):
    row = give_up(Origin(), seen)
    assert improve(row, seen) == row
    assert improve(row, DEPARTURE) == row


def test_an_unsettled_row_is_improved_by_whoever_knows_more():
    assert improve(give_up(Origin(), DEPARTURE), RENEWAL) == give_up(Origin(), RENEWAL)


PRICED = Origin(model="tiny", operation="chat", price="1//2")
FREE = {"uncached_pusd": 0, "cached_pusd": 0, "completion_pusd": 0}
UNPRICED = dict.fromkeys(FREE)
COSTS = {
    "completed": (end(), {"uncached_pusd": 7_000_000 - 2_000_000, "cached_pusd": 2_000_000}),
    "cut": (end(flags="DC"), {"completion_pusd": 10_000_000}),
    "cut, and the completion unknown": (
        end(
            said={**HEAD_ONLY, "operation": "messages"},
            flags="DC",
            usage={"prompt_tokens": 7, "completion_tokens": 0},
        ),
        {"uncached_pusd": 7_000_000, "completion_pusd": None},
    ),
    "nothing said": (end(usage=None), UNPRICED),
    "refused": (end(said={**HEAD_ONLY, "deny": "model_not_found"}, status=404, **NO_ANSWER), FREE),
    "broken": (end(status=503, flags="UF", usage=None), FREE),
    "free": (end(said={**HEAD_ONLY, "operation": "count_tokens"}, usage=None), FREE),
    "a price that is none": (end(said={**HEAD_ONLY, "price": "much"}), UNPRICED),
    "more tokens than there can be": (
        end(usage={"prompt_tokens": 2**24 + 1, "completion_tokens": 5}),
        {"prompt_tokens": None, "uncached_pusd": None, "estimated": True},
    ),
}


@pytest.mark.parametrize(("line", "expected"), COSTS.values(), ids=COSTS)
def test_costs(line, expected):
    row = close(PRICED, read_line(line, "f:0", START_MS))
    assert {name: getattr(row, name) for name in expected} == expected


def test_without_a_price_there_is_no_cost_until_the_journal_names_it():
    row = close(Origin(), read_line(end(), "f:0", START_MS))
    assert (row.price, row.uncached_pusd, row.has_bad_price) == (None, None, False)
    better = improve(row, Departure("s1", START_MS, PRICED))
    assert (better.price, better.uncached_pusd) == ("1//2", 5_000_000)
    assert better == close(PRICED, read_line(end(), "f:0", START_MS))


def test_a_bad_price_is_told():
    said = {**HEAD_ONLY, "price": "much"}
    assert close(Origin(), read_line(end(said=said), "f:0", START_MS)).has_bad_price


def test_given_up_costs_what_was_seen_so_far():
    row = give_up(PRICED, RENEWAL)
    assert (row.uncached_pusd, row.cached_pusd, row.completion_pusd) == (7_000_000, 0, 6_000_000)
    assert give_up(PRICED, DEPARTURE).uncached_pusd is None


def test_a_free_operation_given_up_costs_nothing():
    row = give_up(Origin(), Departure("s1", START_MS, Origin(operation="models")))
    assert (row.uncached_pusd, row.completion_pusd, row.estimated) == (0, 0, False)


def test_what_it_cost_us_is_for_the_tokens_charged():
    labels = {"prefill_tokens_per_s": 10, "decode_tokens_per_s": 1}
    broken = end(status=500, endpoint_labels=labels)
    assert close(Origin(), read_line(broken, "f:0", START_MS)).gpu_us == 5_500_000
    refused = end(status=400, usage=None, endpoint_labels=labels)
    assert close(Origin(), read_line(refused, "f:0", START_MS)).gpu_us == 0


def test_a_late_departure_keeps_what_serving_cost():
    seen = read_line(
        periodic(endpoint_labels={"prefill_tokens_per_s": 10, "decode_tokens_per_s": 1}),
        "f:0",
        START_MS,
    )
    row = give_up(Origin(), seen)
    better = improve(row, Departure("s1", START_MS, Origin(price="1//2")))
    assert better.gpu_us == row.gpu_us == 5_500_000
    assert better.uncached_pusd == 5_000_000
