"""Models, their tracks and prices: what may be written, and what it comes to."""

from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from extproc.policy.catalog import Bounds, ModelPolicy, ParameterRule, PoolPolicy, PricePolicy

STABLE = {"track": "stable", "pool": "p", "version": "1"}
CANARY = {"track": "canary", "pool": "q", "version": "2", "weight": 5, "served_as": "org/new"}


def complaint(make):
    with pytest.raises(ValidationError) as caught:
        make()
    return str(caught.value)


# Decimals that fit: up to 10 000, six digits behind the point.
AMOUNTS = st.integers(0, 10**10).map(lambda micro: Decimal(micro) / 10**6)


@given(AMOUNTS)
def test_a_price_is_what_was_typed(amount):
    """Through YAML, which knows binary fractions only: not one digit is lost."""
    for text in (f"{amount:f}", f'"{amount:f}"'):
        written = yaml.safe_load(f"{{input_usd: {text}, output_usd: 0}}")
        assert PricePolicy.model_validate(written).input_usd == amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.15", "0.15"),
        ("0.1", "0.1"),
        ("2.675", "2.675"),
        ("0.30", "0.3"),
        ("3", "3"),
        ("1.0e-6", "0.000001"),
        ("1e-3", "0.001"),
        ("'0.000001'", "0.000001"),
        ("10000", "10000"),
    ],
)
def test_prices(text, amount):
    written = yaml.safe_load(f"{{input_usd: 1, output_usd: {text}}}")
    price = PricePolicy.model_validate(written)
    assert price.output_usd == Decimal(amount)
    assert price.cached_usd is None


@pytest.mark.parametrize(
    "text",
    [
        "0.30000000000000004", "0.1234567", "10000.01", "10001", "1.0e-7", "-0.1", ".nan", ".inf", "true",
        "free", "1.0e-10", "1_0.5e+30", "null", "[1]",
    ],
)  # fmt: skip
def test_what_is_no_price(text):
    written = yaml.safe_load(f"{{input_usd: {text}, output_usd: 0}}")
    complaint(lambda: PricePolicy.model_validate(written))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"input_usd": 0.15, "output_usd": "0.60"}, "0.15/0.15/0.6"),
        ({"input_usd": 10, "cached_usd": 0, "output_usd": 1000}, "10/0/1000"),
        ({"input_usd": "1e-6", "cached_usd": "2.50", "output_usd": 0}, "0.000001/2.5/0"),
    ],
)
def test_a_price_travels_as_plain_decimals(written, said):
    assert str(PricePolicy.model_validate(written)) == said


POOL = {"name": "p", "endpoints": ["10.0.0.1:80", "10.0.0.2:80"]}


def test_labels_of_an_endpoint_go_before_those_of_its_pool():
    own = {"10.0.0.2:80": {"gpu": "L4", "watts": 72}}
    labels = {"cluster": "eu", "gpu": "H100", "gpus": 8}
    pool = PoolPolicy.model_validate({**POOL, "labels": labels, "endpoint_labels": own})
    assert pool.labels_of("10.0.0.1:80") == labels
    assert pool.labels_of("10.0.0.2:80") == {**labels, "gpu": "L4", "watts": 72.0}
    assert PoolPolicy.model_validate(POOL).labels_of("10.0.0.1:80") == {}


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"endpoint_labels": {"10.0.0.9:80": {"gpu": "L4"}}}, "10.0.0.9:80 is no endpoint"),
        ({"labels": {"prefill_tokens_per_s": 1}}, "or neither"),
        ({"labels": {"watts": 0}}, "watts"),
        ({"labels": {"gpu": "two words"}}, "gpu"),
        ({"labels": {"colour": "red"}}, "colour"),
    ],
)
def test_what_is_no_label(members, said):
    assert said in complaint(lambda: PoolPolicy.model_validate({**POOL, **members}))


def test_silence_of_a_pool():
    assert PoolPolicy.model_validate(POOL).silence_s == 600
    assert PoolPolicy.model_validate({**POOL, "silence_s": 30}).silence_s == 30
    for wrong in (0.5, 3601, "soon"):
        assert "silence_s" in complaint(
            lambda wrong=wrong: PoolPolicy.model_validate({**POOL, "silence_s": wrong})
        )


def test_silence_of_a_service_elsewhere_stands_where_it_is():
    elsewhere = {"name": "p", "upstream": {"url": "https://api.example.com/v1", "silence_s": 30}}
    pool = PoolPolicy.model_validate(elsewhere)
    assert PoolPolicy.model_validate(pool.model_dump(exclude_none=True)) == pool
    assert "in upstream" in complaint(
        lambda: PoolPolicy.model_validate({**elsewhere, "silence_s": 30})
    )


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "exactly one of pool and tracks"),
        ({"pool": "p", "tracks": [STABLE]}, "exactly one of pool and tracks"),
        ({"tracks": [STABLE, STABLE]}, "a track stands twice"),
        ({"tracks": [{**STABLE, "weight": 0}]}, "no track has any weight"),
        ({"tracks": [{**STABLE, "weight": 1001}]}, "weight"),
        ({"tracks": [{**STABLE, "track": "beta"}]}, "track"),
        ({"tracks": [STABLE], "version": "3"}, "the version of each track"),
        ({"pool": "p", "modalities": ["smell"]}, "modalities"),
        ({"pool": "p", "context_tokens": 0}, "context_tokens"),
        ({"pool": "p", "parameters": [{}]}, "does nothing"),
    ],
)
def test_what_is_no_model(members, said):
    assert said in complaint(lambda: ModelPolicy.model_validate({"name": "m", **members}))


def test_a_model_without_tracks_is_on_stable():
    (track,) = ModelPolicy(name="m", pool="p", served_as="org/m", version="7").in_service()
    assert (track.track, track.pool, track.version, track.served_as) == (
        "stable",
        "p",
        "7",
        "org/m",
    )
    assert ModelPolicy(name="m", pool="p").in_service()[0].version == "1"


def test_a_track_is_served_as_its_model_unless_it_says_so():
    model = ModelPolicy.model_validate(
        {"name": "m", "served_as": "org/m", "tracks": [STABLE, CANARY]}
    )
    assert [track.served_as for track in model.in_service()] == ["org/m", "org/new"]


@pytest.mark.parametrize(
    "rule",
    [
        {"defaults": {"stream": True}},
        {"defaults": {"model": "other"}},
        {"defaults": {"messages": []}},
        {"defaults": {"instructions": "x"}},
        {"defaults": {"seed": None}},
        {"defaults": {"temperature": float("nan")}},
        {"defaults": {"x": {"y": [float("inf")]}}},
        {"defaults": {"x": {1, 2}}},
        {"defaults": {"X-Y": 1}},
        {"defaults": {"a" * 65: 1}},
        {"clamp": {"stream": {"max": 1}}},
        {"clamp": {"n": {}}},
        {"clamp": {"n": {"min": 2, "max": 1}}},
        {"clamp": {"n": {"max": float("inf")}}},
        {"clamp": {"n": 4}},
        {"forbid": ["model"]},
        {"forbid": ["prompt"]},
        {"forbid": ["top-k"]},
        {"system_prompt": ""},
        {"operations": ["models"], "forbid": ["n"]},
    ],
)
def test_what_is_no_rule(rule):
    complaint(lambda: ParameterRule.model_validate(rule))


def test_bounds_stay_the_numbers_they_are():
    assert (Bounds(min=1, max=2.0).min, Bounds(min=1, max=2.0).max) == (1, 2.0)
    assert isinstance(Bounds(max=512).max, int)
    assert isinstance(Bounds(max=0.5).max, float)


@pytest.mark.parametrize(
    ("more", "algorithm"),
    [
        ({}, "predicted_ttft"),
        ({"endpoint_roles": {"10.0.0.5:8000": "both"}}, "predicted_ttft"),
        ({"endpoint_roles": {"10.0.0.5:8000": "decode"}}, "disaggregated"),
        ({"discover": [{"dns": {"host": "a", "port": 1}, "role": "prefill"}]}, "disaggregated"),
        (
            {
                "endpoint_roles": {"10.0.0.5:8000": "prefill"},
                "picker": {"algorithm": "round_robin"},
            },
            "round_robin",
        ),
    ],
)
def test_a_pool_with_roles_is_picked_by_them(more, algorithm):
    given = {"picker": {"fresh_s": 2}, **more}
    pool = PoolPolicy.model_validate({"name": "p", "endpoints": ["10.0.0.5:8000"], **given})
    assert pool.picking.algorithm == algorithm
    assert pool.picking.fresh_s == given["picker"].get("fresh_s", 1.0)
