"""An engine that keeps what it is sent: the only witness of what an engine sees."""

import contextlib
import http.server
import json
import threading

from tests.e2e.hunting import HUNT
from tests.http_server import Server


class Recording(Server):
    """Answers every request the same way; `status` may be changed while it runs."""

    def __init__(self, hunt):
        super().__init__(("127.0.0.1", 0), Answer)
        self.hunt = hunt
        self.seen, self.status = [], 200

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, {"data": [{"id": "demo"}]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.hunt.sent("the recorder", self.headers.items(), body)
        self.server.seen.append(([(k.lower(), v) for k, v in self.headers.items()], body))
        usage = {"prompt_tokens": 3, "completion_tokens": 4}
        self.answer(self.server.status, {"choices": [], "usage": usage})


@contextlib.contextmanager
def recording(hunt=HUNT):
    with Recording(hunt) as engine:
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        try:
            yield engine
        finally:
            engine.shutdown()
