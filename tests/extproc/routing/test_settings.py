"""Defaults, as docs/picking.md and peers have them."""

from extproc.routing.settings import DEFAULTS


def test_defaults():
    assert DEFAULTS.algorithm == "predicted_ttft"
    assert (DEFAULTS.ring_factor, DEFAULTS.ring_places) == (1.25, 256)
    weights = DEFAULTS.weights
    assert (weights.queue, weights.kv_cache, weights.prefix, weights.adapter) == (2, 2, 3, 1)
    assert DEFAULTS.fresh_s < DEFAULTS.in_flight_s
