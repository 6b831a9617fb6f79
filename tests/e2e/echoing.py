"""An engine that repeats what it is sent: the last text of the prompt, in the words of each dialect.

Where the prompt has tools, it calls the first one with that text instead. Streams come in pieces of
three characters, so every placeholder is cut, and JSON escapes what it can.
"""

import contextlib
import gzip
import http.server
import json
import threading
import time

from tests.e2e.hunting import HUNT
from tests.http_server import Server

PIECE = 3


class Echoing(Server):
    """`seen` are the bodies it was sent; `words` are said instead, if there are any. With `pause_s` it
    waits after each piece; `streams` counts those that it has not ended. While it `fails` it says 503. `packs`: answers
    come as gzip, asked for or not."""

    def __init__(self, hunt):
        super().__init__(("127.0.0.1", 0), Echo)
        self.hunt = hunt
        self.seen, self.pause_s, self.streams, self.words = [], 0.0, 0, ""
        self.fails = self.packs = False

    def handle_error(self, request, client_address):
        pass  # a gateway that hangs up is no error

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer({"data": [{"id": "demo"}]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.hunt.sent("the echo", self.headers.items(), body)
        self.server.seen.append(body.decode())
        if self.server.fails:
            self.answer({}, 503)
            return
        asked = json.loads(body)
        text, calls = self.server.words or last_text(asked), bool(asked.get("tools"))
        if calls:
            text = json.dumps({"to": text}).replace("<", "\\u003c").replace(">", "\\u003e")
        whole, events = DIALECTS[self.path.rpartition("/v1/")[2]]
        if asked.get("stream"):
            cut = [text[i : i + PIECE] for i in range(0, len(text), PIECE)]
            self.server.streams += 1
            try:
                self.stream(events(cut, calls))
            finally:
                self.server.streams -= 1
        else:
            self.answer(whole(text, calls))

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        if self.server.packs:
            body = gzip.compress(body)
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        if self.server.packs:
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        if self.server.packs:
            said = "".join(f"data: {json.dumps(each)}\n\n" for each in events)
            self.send(gzip.compress(said.encode()))
            self.send(b"")
            return
        for event in events:
            name = f"event: {event['type']}\n" if "type" in event else ""
            self.send(f"{name}data: {json.dumps(event)}\n\n".encode())
            time.sleep(self.server.pause_s)
        if "choices" in event:
            self.send(b"data: [DONE]\n\n")
        self.send(b"")

    def send(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def last_text(asked):
    given = asked.get("messages", asked.get("input", asked.get("prompt")))
    last = given[-1]["content"] if isinstance(given, list) else given
    return last if isinstance(last, str) else last[-1]["text"]


KNOWN = {"id": "e", "created": 1, "model": "demo"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def chat(text, calls):
    function = {"id": "c", "type": "function", "function": {"name": "f", "arguments": text}}
    said = {"content": None, "tool_calls": [function]} if calls else {"content": text}
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "stop"}
    return {**KNOWN, "object": "chat.completion", "choices": [choice], "usage": USAGE}


def chat_events(pieces, calls):
    known = {**KNOWN, "object": "chat.completion.chunk"}
    if calls:
        call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f"}}
        yield {**known, "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    for piece in pieces:
        function = {"index": 0, "function": {"arguments": piece}}
        delta = {"tool_calls": [function]} if calls else {"content": piece}
        yield {**known, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**known, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield {**known, "choices": [], "usage": USAGE}


def completion(text, calls):
    choice = {"index": 0, "text": text, "finish_reason": "stop"}
    return {**KNOWN, "object": "text_completion", "choices": [choice], "usage": USAGE}


def completion_events(pieces, calls):
    known = {**KNOWN, "object": "text_completion"}
    for piece in pieces:
        yield {**known, "choices": [{"index": 0, "text": piece, "finish_reason": None}]}
    yield {**known, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}


def message(text, calls):
    used = {"type": "tool_use", "id": "t", "name": "f"}
    block = {**used, "input": json.loads(text)} if calls else {"type": "text", "text": text}
    return {
        "id": "m", "type": "message", "role": "assistant", "model": "demo", "content": [block],
        "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }  # fmt: skip


def message_events(pieces, calls):
    begun = message("{}", calls)
    yield {"type": "message_start", "message": {**begun, "content": [], "stop_reason": None}}
    used = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    block = used if calls else {"type": "text", "text": ""}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    for piece in pieces:
        text = {"type": "text_delta", "text": piece}
        delta = {"type": "input_json_delta", "partial_json": piece} if calls else text
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 4}}
    yield {"type": "message_stop"}


def response(text, calls):
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {
        "type": "message",
        "id": "i",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    if calls:
        item = {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": text}
    usage = {
        "input_tokens": 3, "output_tokens": 4, "total_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    return {
        "id": "r", "object": "response", "created_at": 1, "model": "demo", "status": "completed",
        "output": [item], "usage": usage, "parallel_tool_calls": True, "tools": [], "tool_choice": "auto",
    }  # fmt: skip


def response_events(pieces, calls):
    whole = response("".join(pieces), calls)
    (item,) = whole["output"]
    begun = {**whole, "output": [], "status": "in_progress", "usage": None}
    events = [{"type": "response.created", "response": begun}]
    empty = {**item, "arguments": ""} if calls else {**item, "content": []}
    events.append({"type": "response.output_item.added", "output_index": 0, "item": empty})
    at = {"item_id": "i", "output_index": 0}
    if not calls:
        part = {"type": "output_text", "text": "", "annotations": []}
        at["content_index"] = 0
        events.append({"type": "response.content_part.added", **at, "part": part})
    name = "response.function_call_arguments" if calls else "response.output_text"
    events += [{"type": f"{name}.delta", **at, "delta": piece} for piece in pieces]
    member = "arguments" if calls else "text"
    events.append({"type": f"{name}.done", **at, member: "".join(pieces)})
    events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    events.append({"type": "response.completed", "response": whole})
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}


DIALECTS = {
    "chat/completions": (chat, chat_events),
    "completions": (completion, completion_events),
    "messages": (message, message_events),
    "responses": (response, response_events),
}


@contextlib.contextmanager
def echoing(hunt=HUNT):
    with Echoing(hunt) as engine:
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        try:
            yield engine
        finally:
            engine.shutdown()
