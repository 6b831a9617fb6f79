"""Candidates for tests: they say only what matters to them."""

from hypothesis import strategies as st

from engines.load import Adapters, Load, Total
from engines.rates import Rates
from extproc.routing.candidate import Asked, Candidate

NOW = 1000.0


def candidate(name="10.0.0.1:1", *, age_s=0.1, rate=None, warmth=1.0, role="both", **members):
    """Of a look's members those named as in `Load` go there, others into the candidate."""
    load = {key: members.pop(key) for key in list(members) if key in Load.__struct_fields__}
    rates = members.pop("rates", None) or Rates(
        prefill_tokens_per_s=rate, evidence=64.0 if rate else 0.0, error=0.0
    )
    return Candidate(name, Load(**load), NOW - age_s, rates, warmth=warmth, role=role, **members)


def several(count, **members):
    return [candidate(f"10.0.0.{number}:1", **members) for number in range(1, count + 1)]


def asked(number=0, **members):
    return Asked(**{"key": f"k{number}", "prompt_tokens": 1000, "block_tokens": 64, **members})


NAMES = st.lists(
    st.sampled_from([f"10.0.0.{n}:1" for n in range(9)]), min_size=1, max_size=6, unique=True
)
COUNTS = st.one_of(st.integers(0, 50), st.integers(0, 2**62))
AMOUNTS = st.one_of(st.just(0.0), st.floats(0, 1e6), st.floats(0, 1e300), st.floats(1e-300, 1e-6))
SPEEDS = st.one_of(st.none(), AMOUNTS)
ADAPTERS = st.builds(
    Adapters,
    COUNTS,
    st.lists(st.sampled_from(["a", "b"])).map(tuple),
    st.lists(st.sampled_from(["a", "b"])).map(tuple),
)
LOADS = st.builds(
    Load,
    running=COUNTS,
    waiting=COUNTS,
    kv_usage=st.floats(0, 2),
    adapters=ADAPTERS,
    block_tokens=COUNTS,
    blocks=COUNTS,
    ttft_s=st.builds(Total, AMOUNTS, AMOUNTS),
)
RATES = st.builds(
    Rates,
    prefill_tokens_per_s=SPEEDS,
    itl_s=SPEEDS,
    itl_base_s=SPEEDS,
    itl_per_running_s=AMOUNTS,
    uncached_tokens=SPEEDS,
    drain_per_s=SPEEDS,
    most_running=st.one_of(st.none(), COUNTS),
    error=st.floats(0, 1),
    evidence=AMOUNTS,
)


@st.composite
def anything(draw):
    """Any candidates, as extreme as they come."""
    return [
        Candidate(
            name,
            draw(LOADS),
            draw(st.sampled_from([float("-inf"), 0.0, NOW - 5, NOW, NOW + 5])),
            draw(RATES),
            draw(COUNTS),
            draw(COUNTS),
            draw(COUNTS),
            draw(COUNTS),
            draw(st.floats(0.001, 1.0)),
            draw(st.sampled_from(["both", "prefill", "decode"])),
        )
        for name in draw(NAMES)
    ]


ASKED = st.builds(
    Asked,
    key=st.text(max_size=8),
    prompt_tokens=COUNTS,
    blocks=st.lists(st.integers(0, 2**64 - 1), max_size=6).map(tuple),
    block_tokens=st.sampled_from([0, 16, 64, 2**40]),
    completion_tokens=COUNTS,
    adapter=st.sampled_from(["", "a", "c"]),
    session=st.sampled_from(["", "s", "\ud800"]),
)
