"""The body of any dialect -> one conversation, as an engine makes it before it renders a prompt.

Engines serve three dialects by translating two of them into the third, OpenAI's chat; what follows
here is vLLM's translation. Source: vLLM's `renderers/chat_utils.py`, `renderers/hf.py`; for the
others see `messages.py` and `responses.py`.
"""

from collections.abc import Sequence

import msgspec

from extproc.counting.images import Picture
from extproc.counting.loose import Members, as_object, as_objects
from extproc.counting.template import Message, Template

TEXTS = frozenset({"text", "input_text", "output_text", "refusal", "thinking"})
"""Types of parts that are a text."""
SYSTEM = "system"


class Talk(msgspec.Struct):
    """What there is to render."""

    messages: list[Members] = []
    """Content is a text, or a list of parts `{"type": "text", "text": ...}`; pictures are taken out."""
    tools: list[Members] | None = None
    variables: Members = {}
    """For the template."""
    pictures: list[Picture] = []
    media: int = 0
    """Sounds and films."""
    is_faithful: bool = True
    """All that was said is here, as the engine will have it."""

    def say(self, role: str, content: str | list[Members]) -> None:
        self.messages.append({"role": role, "content": content})


def read_content(content: object, talk: Talk) -> str | list[Members]:
    """Take a message's content apart: its texts are returned, the rest goes into `talk`."""
    if isinstance(content, str):
        return content
    texts: list[Members] = []
    for part in as_objects(content):
        kind = part.get("type")
        if kind in TEXTS:
            text = part.get(kind if kind in ("refusal", "thinking") else "text")
            if isinstance(text, str):
                texts.append({"type": "text", "text": text})
        else:
            read_medium(str(kind), part, talk)
    return texts[0]["text"] if len(texts) == 1 else texts or ""


def read_medium(kind: str, part: Members, talk: Talk) -> None:
    """Take note of a part that is no text."""
    talk.is_faithful = False
    if "image" in kind:
        talk.pictures.append(read_picture(part))
    elif "audio" in kind or "video" in kind:
        talk.media += 1


def read_picture(part: Members) -> Picture:
    """Read OpenAI's two ways of saying where an image is; a URL of its own, or within an object."""
    given = part.get("image_url")
    within = as_object(given) or {"url": given}
    detail = within.get("detail") or part.get("detail")
    url = within.get("url")
    return Picture(url if isinstance(url, str) else "", is_low=detail == "low")


def join_texts(content: object, between: str = "\n") -> str:
    """Make one text of a content."""
    if isinstance(content, str):
        return content
    return between.join(part["text"] for part in as_objects(content))


def fit(messages: Sequence[Message], template: Template) -> Sequence[Message]:
    """Give messages the form in which the engine hands them to this template."""
    fitted = [fit_message(message, template) for message in messages]
    if template.knows_developer or not any(each["role"] == "developer" for each in fitted):
        return fitted
    renamed = [{**each, "role": SYSTEM} if each["role"] == "developer" else each for each in fitted]
    return merge_system(renamed)


def fit_message(message: Message, template: Template) -> Message:
    content = message.get("content")
    if not template.loops_over_content or message["role"] == "tool":
        is_text = isinstance(content, str)
        return message if is_text else {**message, "content": join_texts(content)}
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    return {**message, "content": content or []}


def merge_system(messages: Sequence[Message]) -> Sequence[Message]:
    """Put all that is said to the system into one message at the beginning."""
    said = [join_texts(each["content"]) for each in messages if each["role"] == SYSTEM]
    if len(said) == 1 and messages[0]["role"] == SYSTEM:
        return messages
    others = [each for each in messages if each["role"] != SYSTEM]
    return [{"role": SYSTEM, "content": "\n\n".join(filter(None, said))}, *others]
