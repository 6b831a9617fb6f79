"""The body of `/v1/responses` -> `Talk`, as vLLM makes a chat of it.

Source: vLLM's `entrypoints/openai/responses/utils.py`.
"""

from extproc.counting.chat import parse_arguments, read_function, read_variables
from extproc.counting.loose import Members, as_object, as_objects
from extproc.counting.talk import SYSTEM, Talk, read_content
from extproc.dialects.body import Document

ASSISTANT = "assistant"
UNFINISHED = frozenset({"in_progress", "incomplete"})


def read_responses(document: Document) -> Talk:
    """Instructions are the first thing said to the system; the input follows."""
    talk = Talk(messages=[], pictures=[])
    if instructions := document.get("instructions"):
        talk.say(SYSTEM, instructions)
    given = document["input"]
    if isinstance(given, str):
        talk.say("user", given)
    else:
        for item in as_objects(given):
            read_item(item, talk)
        # The engine would go on with it instead of beginning a new one.
        talk.is_faithful &= given[-1].get("status") not in UNFINISHED
    tools = [tool for tool in as_objects(document.get("tools")) if tool.get("type") == "function"]
    if tools:
        talk.tools = [{"type": "function", "function": read_function(tool)} for tool in tools]
    effort = as_object(document.get("reasoning")).get("effort")
    talk.variables = read_variables(document, effort)
    return talk


def read_item(item: Members, talk: Talk) -> None:
    """Add one item. Steps of an assistant that follow each other are one message."""
    match item.get("type", "message"):
        case "message" | None if item["role"] == ASSISTANT and (
            (text := first_text(item["content"])) is not None
        ):
            extend(talk, "content", text)
        case "message" | None:
            talk.say(item["role"], read_content(item["content"], talk))
        case "function_call":
            add_call(item, talk)
        case "function_call_output":
            output = read_content(item["output"], talk)
            answer = {"role": "tool", "content": output, "tool_call_id": item["call_id"]}
            talk.messages.append(answer)
        case "reasoning":
            thoughts = as_objects(item.get("content")) or as_objects(item.get("summary"))
            extend(talk, "reasoning", str(thoughts[0].get("text", "")) if thoughts else "")
        case _:
            talk.is_faithful = False


def first_text(content: object) -> str | None:
    """Of what an assistant said, engines take the first part."""
    if isinstance(content, str):
        return content
    parts = as_objects(content)
    return parts[0].get("text") if parts else None


def extend(talk: Talk, member: str, value: str) -> None:
    """Add to the assistant's message that was begun, or begin one."""
    last = begun(talk)
    if last is None or last.get(member) is not None:
        last = {"role": ASSISTANT}
        talk.messages.append(last)
    last[member] = value
    if member == "reasoning":
        last["reasoning_content"] = value


def begun(talk: Talk) -> Members | None:
    """Return the last message, if it is an assistant's. All messages here are made here."""
    last = talk.messages[-1] if talk.messages else None
    return last if last and last["role"] == ASSISTANT else None


def add_call(item: Members, talk: Talk) -> None:
    function = {"name": item["name"], "arguments": parse_arguments(item["arguments"])}
    call = {"id": item["call_id"], "type": "function", "function": function}
    last = begun(talk)
    if last is None:
        talk.messages.append({"role": ASSISTANT, "tool_calls": [call]})
    else:
        last.setdefault("tool_calls", []).append(call)
