"""An engine that answers, hangs up with the request in hand, or keeps its metrics to itself. It counts what
it was asked: the only witness of what was sent twice."""

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

PROMPT_TOKENS, COMPLETION_TOKENS = 3, 2


class Mood(Enum):
    """What it does with a request."""

    SERVE = "serve"
    HANG_UP = "read all of it, then close the connection"
    BREAK_OFF = "begin an answer, then close the connection"


class Double(ThreadingHTTPServer):
    request_queue_size = 128
    """With the standard library's five, the sixth who connects at once asks again a second later."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.mood = Mood.SERVE
        self.asked = 0
        self.served = 0
        self.tells = Event()
        """Unset: whoever asks for metrics waits."""
        self.tells.set()
        self.began_s = time.time()

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever waited for metrics has left meanwhile."""

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def double(self) -> Double:
        assert isinstance(self.server, Double)
        return self.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own
        pass

    def do_GET(self) -> None:
        if self.path != "/metrics":
            self._send(b"{}")
            return
        self.double.tells.wait()
        served = self.double.served
        self._send(
            f"vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n"
            f"vllm:prompt_tokens_total {served * PROMPT_TOKENS}\n"
            f"vllm:generation_tokens_total {served * COMPLETION_TOKENS}\n"
            f"process_start_time_seconds {self.double.began_s}\n".encode()
        )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.double.asked += 1
        match self.double.mood:
            case Mood.HANG_UP:
                self.close_connection = True
            case Mood.BREAK_OFF:
                self._head(1000)
                self.wfile.write(b'{"id": ')
                self.close_connection = True
            case Mood.SERVE:
                self.double.served += 1
                self._send(json.dumps(body_for(self.path)).encode())

    def _send(self, body: bytes) -> None:
        self._head(len(body))
        self.wfile.write(body)

    def _head(self, length: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length))
        self.end_headers()


def body_for(path: str) -> dict[str, object]:
    if path.endswith("/responses"):
        usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS}
        return {"id": "r", "object": "response", "output": [], "usage": usage}
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS}
    return {"id": "c", "object": "chat.completion", "choices": [], "usage": usage}


@contextmanager
def doubled(count: int) -> Generator[list[Double]]:
    doubles = [Double() for _ in range(count)]
    threads = [Thread(target=each.serve_forever, daemon=True) for each in doubles]
    for thread in threads:
        thread.start()
    try:
        yield doubles
    finally:
        for each, thread in zip(doubles, threads, strict=True):
            each.tells.set()
            each.shutdown()
            thread.join()
            each.server_close()
