"""Ollama, which has no metrics: nothing is known of its load but what the gateway has sent there.

Source: ollama/ollama, server/routes.go; health: docs/api.md, "Version".
"""

from engines.kind import EVERY_OPERATION, Engine
from engines.load import NOTHING, Load


def read_load(text: bytes) -> Load:  # noqa: ARG001 - as all kinds have it
    """Find nothing, in any text."""
    return NOTHING


OLLAMA = Engine(
    name="ollama",
    health_path="/api/version",
    metrics_path="",
    read_load=read_load,
    operations=EVERY_OPERATION - {"count_tokens"},
)
