"""OpenAI's chat body -> `Talk`."""

import msgspec

from extproc.counting.loose import Members, as_object, as_objects
from extproc.counting.talk import Talk, read_content
from extproc.dialects.body import Document

VARIABLES = ("add_generation_prompt", "reasoning_effort")
"""Members of the body that templates see under the same name."""
ODD = ("continue_final_message", "documents", "chat_template", "mm_processor_kwargs")
"""Members of the body that change the prompt in ways that are not followed here."""


def read_chat(document: Document) -> Talk:
    """Cost: 0.2 us for a message that is a role and a text, 1-2 us for others."""
    talk = Talk(messages=[], pictures=[])
    for message in document["messages"]:
        if len(message) == 2 and type(message.get("content")) is str:
            talk.messages.append(message)
        else:
            talk.messages.append(read_message(message, talk))
    if tools := document.get("tools"):
        talk.tools = [read_tool(tool) for tool in as_objects(tools)]
    talk.variables = read_variables(document, document.get("reasoning_effort"))
    if any(document.get(name) for name in ODD):
        talk.is_faithful = False
    return talk


def read_message(message: Members, talk: Talk) -> Members:
    """Keep what templates look at."""
    role = message["role"]
    read: Members = {"role": role, "content": read_content(message.get("content"), talk)}
    if isinstance(name := message.get("name"), str):
        read["name"] = name
    if role == "assistant":
        if calls := as_objects(message.get("tool_calls")):
            read["tool_calls"] = [read_call(call) for call in calls]
        if isinstance(thought := message.get("reasoning"), str):
            read["reasoning"] = read["reasoning_content"] = thought
    elif role == "tool" and "tool_call_id" in message:
        read["tool_call_id"] = message["tool_call_id"]
    return read


def read_call(call: Members) -> Members:
    """Templates want the arguments as an object; clients send JSON in a text."""
    function = {**call["function"], "arguments": parse_arguments(call["function"].get("arguments"))}
    return {**call, "function": function}


def parse_arguments(given: object) -> Members:
    """Engines take for an empty object what is none."""
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
    return as_object(given)


def read_tool(tool: Members) -> Members:
    """Write a tool as engines write it into the prompt: known members only, in their order."""
    return {"type": "function", "function": read_function(as_object(tool.get("function")))}


def read_function(given: Members, parameters: str = "parameters") -> Members:
    """`parameters` is what the dialect calls them."""
    function: Members = {
        "name": given.get("name"),
        "description": given.get("description"),
        "parameters": given.get(parameters),
    }
    if given.get("strict") is not None:
        function["strict"] = given["strict"]
    return function


def read_variables(document: Document, effort: object) -> Members:
    """Collect what the template gets besides messages and tools."""
    variables = {**as_object(document.get("chat_template_kwargs"))}
    for name in VARIABLES:
        if document.get(name) is not None:
            variables[name] = document[name]
    if effort is not None:
        variables["reasoning_effort"] = effort
        variables.setdefault("enable_thinking", effort != "none")
    return variables
