"""Chunkings for property tests, and the answers recorded from real vLLM."""

import itertools
import json
from pathlib import Path

from hypothesis import strategies as st

FIXTURES = Path(__file__).parents[1] / "fixtures" / "vllm"


@st.composite
def chunked(draw, whole):
    """`whole` cut anywhere; chunks may be empty."""
    if draw(st.booleans()) and len(whole) < 2000:
        return [whole[i : i + 1] for i in range(len(whole))]
    cuts = draw(st.lists(st.integers(0, len(whole)), max_size=12))
    edges = [0, *sorted(cuts), len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(edges)]


def recorded(content_type):
    """Bodies of successful answers with that content type."""
    bodies = []
    for path in sorted(FIXTURES.glob("*.json")):
        said = json.loads(path.read_text())
        headers = {name.lower(): value for name, value in dict(said["headers"]).items()}
        if said["status"] == 200 and headers.get("content-type", "").startswith(content_type):
            bodies.append(path.with_suffix(".body").read_bytes())
    assert bodies
    return bodies
