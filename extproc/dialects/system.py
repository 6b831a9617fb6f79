"""An operator's system prompt, put where each dialect has its own.

It stands at the very beginning, before whatever the client says to the system, and it is the same
for every request: engines keep the attention of a shared beginning (prefix caching), so it costs
its tokens once, not per request. It is merged into the client's own system prompt, because many
chat templates refuse a second one.
"""

from typing import Any

from extproc.dialects.body import Document
from extproc.request import Kind

BETWEEN = "\n\n"
SYSTEM_ROLES = ("system", "developer")
"""OpenAI's newer name for the same; most chat templates know the older only."""
RETELLING = (
    *("prompt_logprobs", "return_token_ids", "return_prompt_text", "enable_response_messages"),
    *("return_prompt_token_ids", "echo"),
)
"""By these, engines tell the prompt in their answer, its system prompt included: vLLM; of the last two
the first is SGLang's, and `echo` repeats a chat's last message, which may be of the system."""


def prepend_system(kind: Kind, document: Document, text: str) -> dict[str, Any]:
    """Return the members to change. None for operations that have no system prompt."""
    match kind:
        case Kind.CHAT:
            return {"messages": in_chat(document["messages"], text)}
        case Kind.RESPONSES:
            return {"instructions": before(text, document.get("instructions"))}
        case Kind.MESSAGES | Kind.COUNT_TOKENS:
            return {"system": before(text, document.get("system"))}
        case _:
            return {}


def in_chat(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Make it the first message, or the beginning of the one that is there."""
    first = messages[0]
    if first["role"] not in SYSTEM_ROLES:
        return [{"role": "system", "content": text}, *messages]
    merged = {**first, "role": "system", "content": before(text, first.get("content"))}
    return [merged, *messages[1:]]


def before(text: str, content: str | list[Any] | None) -> str | list[Any]:
    """Join with what is there: a text, or a list of parts, which both APIs write alike."""
    if not content:
        return text
    if isinstance(content, str):
        return f"{text}{BETWEEN}{content}"
    return [{"type": "text", "text": f"{text}{BETWEEN}"}, *content]


def find_retelling(document: Document) -> str | None:
    """Name a member that asks the engine to tell its prompt. 0 asks as well: `prompt_logprobs`."""
    return next(
        (
            name
            for name in RETELLING
            if document.get(name) is not None and document[name] is not False
        ),
        None,
    )
