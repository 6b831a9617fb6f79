"""Which requests may be answered from what was kept, and what their clients say about it."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from extproc.dialects.system import find_retelling
from extproc.request import Kind

KINDS = frozenset({Kind.CHAT, Kind.COMPLETIONS, Kind.MESSAGES, Kind.RESPONSES})
"""Operations whose answers are text."""

USUAL_TEMPERATURE = 1.0
"""Of a request that names none: what the APIs say, and what engines do unless a model says otherwise."""

TOOLS = ("tools", "functions", "mcp_servers", "web_search_options")
CHOICES = ("tool_choice", "function_call")
STATE = ("previous_response_id", "conversation", "background", "container")
"""What an answer goes on from, or leaves behind."""
EXTRAS = (
    *("logprobs", "top_logprobs", "audio", "suffix"),
    *("return_tokens_as_token_ids", "kv_transfer_params", "include"),
)
"""What puts more into an answer than its text."""
TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})

Document = Mapping[str, Any]


class Control(msgspec.Struct, frozen=True):
    """What `Cache-Control` says (RFC 9111 5.2.1)."""

    no_store: bool = False
    no_cache: bool = False
    """Not to be answered from what was kept; its answer may be kept."""
    max_age_s: int | None = None


def read_control(header: str) -> Control:
    """Read it. What nobody knows is ignored, as the RFC wants."""
    words = [word.strip().lower() for word in header.split(",")]
    ages = [word.partition("=")[2].strip('" ') for word in words if word.startswith("max-age=")]
    numbers = [int(age) for age in ages if age.isascii() and age.isdecimal() and len(age) < 10]
    return Control("no-store" in words, "no-cache" in words, min(numbers, default=None))


def find_bypass(kind: Kind, document: Document, n: int, most_temperature: float) -> str:
    """Say in a word why this request is not for the cache; empty: it is."""
    if kind not in KINDS:
        return "operation"
    found = {
        "tools": has_tools(document),
        "n": n > 1 or several(document),
        "state": any(document.get(name) for name in STATE) or document.get("store") is True,
        "extras": any(document.get(name) for name in EXTRAS)
        or find_retelling(document) is not None,
        "media": has_media(document.get("messages")) or has_media(document.get("input")),
        "temperature": temperature_of(document) > most_temperature,
    }
    return next((reason for reason, is_so in found.items() if is_so), "")


def has_tools(document: Document) -> bool:
    chosen = (document.get(name) for name in CHOICES)
    return any(document.get(name) for name in TOOLS) or any(
        choice is not None and choice != "none" for choice in chosen
    )


def temperature_of(document: Document) -> float:
    given = document.get("temperature")
    return float(given) if isinstance(given, int | float) else USUAL_TEMPERATURE


def several(document: Document) -> bool:
    """Whether several answers are asked for: of several prompts, or to choose from."""
    prompt, best = document.get("prompt"), document.get("best_of")
    if isinstance(best, int) and best > 1:
        return True
    return isinstance(prompt, list) and not all(
        isinstance(token, int) for token in cast("list[object]", prompt)
    )


def has_media(turns: object) -> bool:
    """Whether there is more than text: what a link leads to may change."""
    if not isinstance(turns, list):
        return False
    for turn in cast("list[object]", turns):
        content = cast("Document", turn).get("content") if isinstance(turn, dict) else None
        if not isinstance(content, list):
            continue
        for part in cast("list[object]", content):
            is_text = isinstance(part, dict) and cast("Document", part).get("type") in TEXT_PARTS
            if not is_text:
                return True
    return False
