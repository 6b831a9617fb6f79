"""Answers as engines give them: one text in every API, as JSON and as a stream."""

import json

from extproc.cache.answer import Answer
from extproc.cache.written import Form, write
from extproc.request import Kind

KINDS = (Kind.CHAT, Kind.COMPLETIONS, Kind.MESSAGES, Kind.RESPONSES)
FINISH = {Kind.MESSAGES: "end_turn", Kind.RESPONSES: "completed"}


def answer(kind=Kind.CHAT, text="Paris.", **more):
    members = {"prompt_tokens": 9, "completion_tokens": 3, "head": {"model": "m"}, **more}
    return Answer(kind, text, finish=FINISH.get(kind, "stop"), **members)


def body(kind=Kind.CHAT, text="Paris.", *, stream=False, **more):
    """What an engine sends."""
    return write(answer(kind, text, **more), Form("k", 7, stream, wants_usage=True))


def document(kind=Kind.CHAT, text="Paris."):
    return json.loads(body(kind, text))
