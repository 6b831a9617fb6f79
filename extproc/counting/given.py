"""What there is to count in a body: a conversation, or bare texts and token ids."""

from typing import cast

import msgspec

from extproc.counting.chat import read_chat
from extproc.counting.loose import as_objects
from extproc.counting.messages import read_messages
from extproc.counting.responses import read_responses
from extproc.counting.talk import Talk, join_texts
from extproc.dialects.body import Document
from extproc.dialects.lengths import PROMPTS, TRUNCATED, as_list
from extproc.request import Kind

ODD = ("suffix", "prompt_embeds")
"""Members of a bare prompt's body that change it in ways that are not followed here."""


class Given(msgspec.Struct):
    """All prompts of one request."""

    talk: Talk | None = None
    texts: list[str] = []
    ids: int = 0
    """Prompts that came as token ids: how many these are."""
    is_faithful: bool = True
    is_framed: bool = True
    """Engines add what the vocabulary wants to bare texts, and to what `/v1/responses` makes of a chat;
    clients of the older APIs may say otherwise."""
    cut_to: int | None = None
    """The engine shortens the prompt to so many tokens."""
    media_tokens: int = 0
    """Of what is no text, by the model's rule."""

    @property
    def prompts(self) -> int:
        """How many there are that are made of text."""
        return len(self.texts) if self.talk is None else 1

    @property
    def chars(self) -> int:
        """Characters of text; tools and their calls left out."""
        if self.talk is None:
            return sum(map(len, self.texts))
        return sum(len(join_texts(each.get("content"))) for each in self.talk.messages)


def read_given(kind: Kind, document: Document, *, takes_system_later: bool = True) -> Given:
    """Read a body that has been checked (`dialects`)."""
    limit = document.get(TRUNCATED)
    cut_to = limit if isinstance(limit, int) and limit > 0 else None
    match kind:
        case Kind.CHAT:
            is_framed = document.get("add_special_tokens") is True
            return Given(read_chat(document), is_framed=is_framed, cut_to=cut_to)
        case Kind.RESPONSES:
            return Given(read_responses(document), cut_to=cut_to)
        case Kind.MESSAGES | Kind.COUNT_TOKENS:
            talk = read_messages(document, takes_system_later=takes_system_later)
            return Given(talk, is_framed=False, cut_to=cut_to)
        case _:
            return read_bare(document, PROMPTS[kind], cut_to)


def read_bare(document: Document, member: str, cut_to: int | None) -> Given:
    """Read a text, texts, token ids, or lists of them."""
    items = as_list(document.get(member))
    texts: list[str] = []
    ids = len(items) if items and isinstance(items[0], int) else 0
    for item in () if ids else items:
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, list):
            ids += len(cast("list[object]", item))
    is_faithful = not any(document.get(name) for name in ODD)
    is_framed = document.get("add_special_tokens") is not False
    return Given(None, texts, ids, is_faithful, is_framed, cut_to)


def all_text(given: Given) -> str:
    """Join every text there is: for an estimate, which does not care where one ends."""
    if given.talk is None:
        return "".join(given.texts)
    found = [join_texts(each.get("content")) for each in given.talk.messages]
    for each in given.talk.messages:
        if len(each) > 2:
            found += [str(each.get("name") or ""), str(each.get("reasoning") or "")]
            found += [as_json(call["function"]) for call in as_objects(each.get("tool_calls"))]
    if given.talk.tools:
        found.append(as_json(given.talk.tools))
    return "".join(found)


def as_json(value: object) -> str:
    """Write tools and their calls as engines do, more or less. Nothing where it is nested too deep."""
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        return ""
