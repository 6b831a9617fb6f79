"""Services elsewhere that speak Anthropic's API. As `openai.py`: nothing is known of their load.

Source: Anthropic's API reference.
"""

from engines.kind import Engine
from engines.load import NOTHING, Load

VERSION = "2023-06-01"
"""Of their API, where the client names none in `anthropic-version`: they refuse requests without."""


def read_load(text: bytes) -> Load:  # noqa: ARG001 - as all kinds have it
    """Find nothing, in any text."""
    return NOTHING


ANTHROPIC = Engine(
    name="anthropic",
    health_path="",
    metrics_path="",
    read_load=read_load,
    operations=frozenset({"messages", "count_tokens"}),
)
