"""Bodies -> the text that is tokenized. Responses and Messages are read as chats, as in vLLM."""

from collections.abc import Sequence

from msgspec import Raw

from engines.sim import schema
from engines.sim.tokens import IMAGE, Turn, render_chat


def chat_text(messages: Sequence[schema.Message], tools: Raw) -> str:
    turns = [
        Turn(message.role, _content(message.content) + json_text(message.tool_calls))
        for message in messages
    ]
    return render_chat(turns, json_text(tools))


def response_text(body: schema.ResponsesBody) -> str:
    turns = [Turn("system", body.instructions)] if body.instructions else []
    items = (
        [schema.Item(role="user", content=body.input)]
        if isinstance(body.input, str)
        else body.input
    )
    turns += [
        Turn(
            item.role or item.type or "item",
            _content(item.content) + item.arguments + json_text(item.output),
        )
        for item in items
    ]
    return render_chat(turns, json_text(body.tools))


def message_text(body: schema.MessagesBody | schema.CountBody) -> str:
    turns = [Turn("system", _blocks(body.system))] if body.system else []
    turns += [Turn(message.role, _blocks(message.content)) for message in body.messages]
    return render_chat(turns, json_text(body.tools))


def json_text(raw: Raw) -> str:
    text = bytes(raw).decode()
    return "" if text in ("null", "[]") else text


def _content(content: str | list[schema.Part] | None) -> str:
    content = content or ""
    if isinstance(content, str):
        return content
    return "".join(IMAGE if part.text is None else part.text for part in content)


def _blocks(content: str | list[schema.Block]) -> str:
    return content if isinstance(content, str) else "".join(map(_block, content))


def _block(block: schema.Block) -> str:
    match block.type:
        case "tool_use":
            return json_text(block.input)
        case "tool_result":
            return _blocks(block.content or "")
        case "image":
            return IMAGE
        case _:
            return block.text or ""
