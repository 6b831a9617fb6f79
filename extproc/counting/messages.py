"""Anthropic's body -> `Talk`, by way of OpenAI's, as vLLM goes.

Source: vLLM's `entrypoints/anthropic/serving.py`.
"""

from extproc.counting.chat import read_function, read_variables
from extproc.counting.images import Picture
from extproc.counting.loose import Members, as_object, as_objects
from extproc.counting.talk import SYSTEM, Talk, join_texts
from extproc.dialects.body import Document

ATTRIBUTION = "x-anthropic-billing-header"
"""Begins a text that a client of Anthropic's adds to each request, and that engines leave out."""
SKIPPED = frozenset({"redacted_thinking", "tool_reference"})


def read_messages(document: Document, *, takes_system_later: bool) -> Talk:
    """`takes_system_later`: whether the template does; else it is all said at the beginning."""
    talk = Talk(messages=[], pictures=[])
    given: list[Members] = document["messages"]
    system = system_texts(document.get("system"))
    if not takes_system_later:
        for message in given:
            if message["role"] == SYSTEM:
                system.append("".join(system_texts(message["content"])))
    if said := "".join(system):
        talk.say(SYSTEM, said)
    for message in given:
        if message["role"] == SYSTEM:
            if takes_system_later and (text := "".join(system_texts(message["content"]))):
                talk.say(SYSTEM, text)
        elif isinstance(message["content"], str):
            talk.messages.append(message)
        else:
            read_blocks(message["role"], as_objects(message["content"]), talk)
    if isinstance(document.get("tools"), list):
        talk.tools = [
            {"type": "function", "function": read_function(tool, "input_schema")}
            for tool in as_objects(document["tools"])
        ]
    talk.variables = read_variables(document, read_effort(document))
    return talk


def system_texts(given: object) -> list[str]:
    """List what is said to the system."""
    texts = [given] if isinstance(given, str) else [join_texts([b]) for b in texts_of(given)]
    return [text for text in texts if not text.startswith(ATTRIBUTION)]


def texts_of(given: object) -> list[Members]:
    return [block for block in as_objects(given) if block.get("type") == "text"]


def read_effort(document: Document) -> str | None:
    """Thinking that is switched off is the least effort, whatever else is asked for."""
    if as_object(document.get("thinking")).get("type") == "disabled":
        return "none"
    return as_object(document.get("output_config")).get("effort")


def read_blocks(role: str, blocks: list[Members], talk: Talk) -> None:
    """Make messages of one message's blocks: each result of a tool is one before the rest."""
    said: Members = {"role": role}
    texts: list[Members] = []
    thoughts: list[str] = []
    calls: list[Members] = []
    pictures = len(talk.pictures)
    for block in blocks:
        match block.get("type"):
            case "text" if block["text"]:
                texts.append({"type": "text", "text": block["text"]})
            case "image":
                talk.pictures.append(picture_of(block))
            case "thinking":
                thoughts.append(block["thinking"])
            case "tool_use":
                function = {"name": block["name"], "arguments": block["input"]}
                calls.append({"id": block["id"], "type": "function", "function": function})
            case "tool_result" if role == "user":
                read_result(block, talk)
            case kind:
                talk.is_faithful &= kind in SKIPPED or kind == "text"
    talk.is_faithful &= len(talk.pictures) == pictures
    if thoughts:
        said["reasoning"] = said["reasoning_content"] = "".join(thoughts)
    if calls:
        said["tool_calls"] = calls
    if role != "user" or texts or len(talk.pictures) > pictures:
        said["content"] = texts[0]["text"] if len(texts) == 1 else texts or ""
        talk.messages.append(said)


def read_result(block: Members, talk: Talk) -> None:
    """What a tool answered is a message of its own; its images are the user's."""
    content = block.get("content")
    text = content if isinstance(content, str) else join_texts(texts_of(content))
    talk.messages.append(
        {"role": "tool", "content": text, "tool_call_id": block.get("tool_use_id") or ""}
    )
    images = [each for each in as_objects(content) if each.get("type") == "image"]
    talk.pictures += [picture_of(each) for each in images]
    talk.is_faithful &= not images


def picture_of(block: Members) -> Picture:
    given = as_object(block.get("source"))
    if given.get("type") == "url":
        return Picture(str(given.get("url") or ""))
    return Picture("", data=str(given.get("data") or ""))
