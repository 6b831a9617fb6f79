"""Streams and doubles that tests of moderation share."""

import json

from extproc.errors import DetectorError
from extproc.request import Kind
from extproc.safety.moderation.panel import Panel, Service
from extproc.safety.moderation.rules import Hold, Rule

WORDS = Rule("words", words=("kill them", "炸弹"), hold=Hold(16, 500))


class Judge:
    """A service that finds `bad` in texts; with a fault, it does not answer."""

    def __init__(self, fault=False, score=0.9):
        self.fault, self.score = fault, score
        self.asked = []

    async def judge(self, question):
        self.asked.append(question)
        if self.fault:
            raise DetectorError("it is down")
        return [{"violence": self.score if "bad" in text else 0.0} for text in question.texts]


def panel(*rules, on_fault="deny", judge=None, asked=None):
    return Panel(rules, {"judge": Service(judge or Judge(), on_fault)}, asked)


def bench(*rules, **options):
    return panel(*rules, **options).seat("acme", "m", "answer")


def event(document, name=""):
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(document, ensure_ascii=False)}\n\n".encode()


def chat(*pieces, index=0, member="content"):
    """A chat's stream that says these pieces."""
    deltas = [{"role": "assistant", "content": ""}, *({member: piece} for piece in pieces)]
    ends = [None] * len(deltas) + ["stop"]
    for delta, end in zip([*deltas, {}], ends, strict=True):
        choice = {"index": index, "delta": delta, "finish_reason": end}
        yield event({"id": "c", "choices": [choice]})
    yield b"data: [DONE]\n\n"


def messages(*pieces):
    yield event(
        {"type": "message_start", "message": {"usage": {"input_tokens": 3}}}, "message_start"
    )
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    yield event(start, "content_block_start")
    for piece in pieces:
        delta = {"type": "text_delta", "text": piece}
        yield event(
            {"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta"
        )
    yield event({"type": "content_block_stop", "index": 0}, "content_block_stop")
    last = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 9},
    }
    yield event(last, "message_delta")
    yield event({"type": "message_stop"}, "message_stop")


def responses(*pieces):
    yield event({"type": "response.created", "response": {"id": "r"}}, "response.created")
    kind = "response.output_text.delta"
    for piece in pieces:
        yield event({"type": kind, "output_index": 0, "content_index": 0, "delta": piece}, kind)
    done = "response.output_text.done"
    yield event({"type": done, "output_index": 0, "text": "".join(pieces)}, done)
    usage = {"input_tokens": 3, "output_tokens": 9}
    last = {"type": "response.completed", "response": {"id": "r", "usage": usage}}
    yield event(last, "response.completed")


STREAMS = {Kind.CHAT: chat, Kind.MESSAGES: messages, Kind.RESPONSES: responses}


def said(raw, kind=Kind.CHAT):
    """What a client reads."""
    text = ""
    for line in raw.decode().splitlines():
        if not line.startswith("data: {"):
            continue
        document = json.loads(line[6:])
        match kind:
            case Kind.CHAT:
                for choice in document["choices"]:
                    text += "".join(v for k, v in choice["delta"].items() if k != "role")
            case Kind.MESSAGES:
                text += document.get("delta", {}).get("text", "")
            case _:
                text += document.get("delta", "")
    return text


async def play(transform, chunks, each=lambda _: None):
    """Put an answer through, as `stream.rewrite` does."""
    out = b""
    for chunk in chunks:
        out += transform.feed(chunk)
        while transform.waits:
            await transform.wait()
            out += transform.feed(b"")
        each(transform)
        if transform.over:
            break
    out += transform.finish()
    while transform.waits:
        await transform.wait()
        out += transform.finish()
    return out
