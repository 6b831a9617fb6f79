"""A decision in one sentence."""

import msgspec
import pytest

from extproc.routing.reason import explain
from extproc.routing.record import DecisionRecord, Weighed

BASE = DecisionRecord(
    "k", "r", 1.0, "asked", "v", "acme", "chat", "m", "stable", "p", "predicted_ttft",
    "predicted", ("a",), candidates_count=2,
)  # fmt: skip


def weighed(endpoint, cost, warmth=1.0, **terms):
    return Weighed(endpoint, cost, terms, warmth=warmth)


@pytest.mark.parametrize(
    ("candidates", "sentence"),
    [
        (
            [
                weighed("a", 0.1, queue_s=0.05, prefill_s=0.05, cached_tokens=900),
                weighed("b", 0.4, queue_s=0.1, prefill_s=0.3, prefill_tokens_per_s=8000),
            ],
            "it cost 0.3 less than b, most of it for prefill_s (0.05 here, 0.3 there).",
        ),
        (
            [weighed("a", -3.0, queue=1, prefix=2), weighed("b", -1.0, queue=0)],
            "it cost 2 less than b.",
        ),
        ([weighed("a", 1.0), weighed("b", 2.0)], "it cost 1 less than b."),
        (
            [weighed("a", 1.0), weighed("b", 1.0)],
            "b cost as much; among equals its cache, its place on the ring or chance decides.",
        ),
        (
            [weighed("b", 1.0), weighed("a", 1.25)],
            "b cost 0.25 less; among equals its cache, its place on the ring or chance decides.",
        ),
        (
            [weighed("b", 1.0, 0.4), weighed("a", 2.0)],
            "b cost less, but is new or back, and gets 40% of its share until it is warm.",
        ),
    ],
)
def test_against_the_next_best(candidates, sentence):
    record = msgspec.structs.replace(BASE, candidates=tuple(candidates))
    assert explain(record) == f"a was chosen among 2 by fresh looks at engines: {sentence}"


@pytest.mark.parametrize(
    ("rung", "said"),
    [
        ("predicted", "fresh looks"),
        ("in_flight", "our own counts"),
        ("hash", "the prompt's beginning"),
        ("any", "nothing that tells"),
    ],
)
def test_what_it_was_based_on(rung, said):
    assert said in explain(msgspec.structs.replace(BASE, rung=rung))


DECODER = Weighed("a", 0.1, {"queue_s": 0.1}, role="decode")
BUSY = Weighed("b", 0.3, {"queue_s": 0.3}, role="decode")
PREFILLERS = (
    Weighed("c", 0.01, {"prefill_s": 0.01}, role="prefill"),
    Weighed("d", 0.04, {"prefill_s": 0.04}, role="prefill"),
)


@pytest.mark.parametrize(
    ("candidates", "prefiller", "said"),
    [
        (
            (DECODER, BUSY, *PREFILLERS), "c",
            "it cost 0.03 less than d, most of it for prefill_s (0.01 here, 0.04 there).",
        ),
        ((DECODER, PREFILLERS[0]), "c", "own counts, for looks were old. The prompt was to be computed at c."),
        ((DECODER, *PREFILLERS), "", "there, too: too little of it was left to be sent around."),
        ((DECODER, BUSY), "", "there, too: endpoints of the other kind were none or out."),
    ],
)  # fmt: skip
def test_where_the_prompt_is_computed(candidates, prefiller, said):
    """Each of them is compared with its own kind."""
    record = msgspec.structs.replace(
        BASE, picker="disaggregated", rung="in_flight", candidates=candidates,
        candidates_count=len(candidates), prefiller=prefiller,
    )  # fmt: skip
    assert explain(record).endswith(said)
    is_first = "it cost 0.2 less than b, most of it for queue_s (0.1 here, 0.3 there)."
    assert (is_first in explain(record)) == (BUSY in candidates)
    others = msgspec.structs.replace(record, candidates_count=99, prefiller="")
    assert "prompt" not in explain(others), "nobody knows who else there was"


def test_alone():
    record = msgspec.structs.replace(BASE, candidates_count=1)
    assert explain(record) == "a was chosen: there was no other."
