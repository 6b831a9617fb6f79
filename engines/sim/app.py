"""HTTP: routes, reading a body, answering. Bad input is answered with 4xx, always.

The life of a request is `_generate`, top to bottom.
"""

import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import count

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Middleware

from engines.sim.admin import Admin
from engines.sim.bodies import (
    Head,
    chat_body,
    completion_body,
    embedding_body,
    error_body,
    models_body,
    tokenize_body,
)
from engines.sim.chunks import Stream
from engines.sim.engine import SimEngine
from engines.sim.faults import Kind
from engines.sim.messages import count_body, message_body, message_error, message_events
from engines.sim.metrics import Exposition
from engines.sim.pace import FixedPace
from engines.sim.prefill import Prefiller, sent_to
from engines.sim.refusal import MALFORMED, RefusedError
from engines.sim.request import Generation, Order, Reader
from engines.sim.responses import ResponseStream, response_body
from engines.sim.run import Run
from engines.sim.sending import (
    CutError,
    hang_up,
    hold,
    json_answer,
    send_body,
    send_events,
)
from engines.sim.stored import CacheEvent

BODY_BYTES_MAX = 64 << 20  # four times what the gateway lets through

_ERRORS = {Kind.ERROR_500: 500, Kind.ERROR_503: 503}
_PREFIXES = {
    "chat": "chatcmpl-",
    "completions": "cmpl-",
    "responses": "resp_",
    "messages": "chatcmpl-",
}
_ANTHROPIC_PATH = "/v1/messages"
_EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


class Service:
    """The HTTP side of one engine process."""

    def __init__(
        self,
        engine: SimEngine,
        body_bytes_max: int = BODY_BYTES_MAX,
        publish: Callable[[Sequence[CacheEvent]], None] | None = None,
        record: Middleware | None = None,
    ) -> None:
        settings = engine.settings
        self._body_bytes_max = body_bytes_max
        self._engine = engine
        self._settings = settings
        self._send = publish
        self._middlewares = [_answer_errors, *([record] if record else ())]
        self._admin = Admin(engine)
        self._outage = self._admin.outage
        self._prefiller = Prefiller()
        self._reader = Reader(
            settings.models, engine.tokenizer, settings.max_model_len, engine.adapters
        )
        self._created = int(time.time())
        self._exposition = Exposition(
            engine.meter,
            settings.models[0],
            {
                "block_size": str(settings.block_size),
                "cache_dtype": "auto",
                "enable_prefix_caching": "True",
                "num_gpu_blocks": str(settings.num_blocks),
            },
        )
        self._unique = secrets.token_hex(4)
        self._numbers = count(1)

    def app(self) -> web.Application:
        app = web.Application(middlewares=self._middlewares, client_max_size=self._body_bytes_max)
        app.add_routes(self._admin.routes())
        app.cleanup_ctx.append(self._prefiller.opened)
        app.on_cleanup.append(self._close)
        if self._engine.driver:
            self._engine.driver.on_step = self._publish
        post = partial(web.post, expect_handler=_expect)
        app.add_routes(
            [
                post("/v1/chat/completions", self._chat),
                post("/v1/completions", self._complete),
                post("/v1/embeddings", self._embed),
                post("/v1/responses", self._respond),
                post("/v1/messages", self._message),
                post("/v1/messages/count_tokens", self._count),
                web.get("/v1/models", self._models),
                post("/tokenize", self._tokenize),
                web.get("/health", self._health),
                web.get("/metrics", self._metrics),
            ]
        )
        return app

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        return await self._generate(http, self._reader.chat)

    async def _complete(self, http: web.Request) -> web.StreamResponse:
        return await self._generate(http, self._reader.completion)

    async def _respond(self, http: web.Request) -> web.StreamResponse:
        return await self._generate(http, self._reader.response)

    async def _message(self, http: web.Request) -> web.StreamResponse:
        return await self._generate(http, self._reader.message)

    async def _count(self, http: web.Request) -> web.Response:
        return json_answer(count_body(self._reader.message_tokens(await _body(http))))

    async def _generate(
        self, http: web.Request, read: Callable[[bytes], Generation]
    ) -> web.StreamResponse:
        raw = await _body(http)
        request = read(raw)
        self._fail_if_told(request.order)
        if self._settings.role != "prefill":
            request = await self._prefiller.prefilled(http, raw, request)
        run = self._engine.start(request, time.monotonic())
        run.transfer = sent_to(request, self._unique)
        self._publish()
        completed = False
        try:
            with self._admin.fate():
                await hold(request.order.fault, self._engine.pace_of(run))
                send = self._stream if request.stream else self._whole
                answer = await send(http, request, run)
            completed = True
            return answer
        finally:
            # Also when the client has left: then this handler is cancelled, at any await above.
            self._engine.finish(run, time.monotonic(), completed=completed)
            self._publish()

    async def _stream(self, http: web.Request, request: Generation, run: Run) -> web.StreamResponse:
        out = web.StreamResponse(headers=_EVENT_STREAM)
        await out.prepare(http)  # long before the first token, like vLLM
        events = _events(self._head(http, request), request, run)
        try:
            with self._admin.fate():
                await send_events(out, events, self._engine.pace_of(run), request.order.fault)
        except RefusedError as refused:
            await out.write(b"data: %b\n\ndata: [DONE]\n\n" % error_body(refused))
            raise _OverError(out) from None
        return out

    async def _whole(self, http: web.Request, request: Generation, run: Run) -> web.StreamResponse:
        await self._engine.pace_of(run).until(run.steps - 1)
        body = _whole_body(self._head(http, request), request, run)
        return await send_body(http, body, request.order.fault)

    async def _embed(self, http: web.Request) -> web.StreamResponse:
        request = self._reader.embedding(await _body(http))
        self._fail_if_told(request.order)
        ttft_s, itl_s = self._engine.pace(request.order)
        pace = FixedPace(time.monotonic() + ttft_s, itl_s, self._engine.stall)
        await hold(request.order.fault, pace)
        await pace.until(0)
        self._engine.embed(request.prompts)
        head = Head(f"embd-{self._id(http, None)}", int(time.time()), self._settings.models[0])
        return await send_body(http, embedding_body(head, request), request.order.fault)

    async def _tokenize(self, http: web.Request) -> web.Response:
        text, with_pieces = self._reader.tokenize(await _body(http))
        body = tokenize_body(text, self._settings.max_model_len, with_pieces=with_pieces)
        return json_answer(body)

    async def _models(self, _: web.Request) -> web.Response:
        return json_answer(models_body(self._settings, self._created, self._engine.adapters))

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=self._outage.health)

    async def _metrics(self, _: web.Request) -> web.Response:
        text = self._exposition.text(self._engine.load(time.monotonic()))
        return web.Response(body=text, headers={"Content-Type": self._exposition.content_type})

    def _fail_if_told(self, order: Order) -> None:
        if order.fault and order.fault.kind in _ERRORS:
            raise RefusedError.failed(_ERRORS[order.fault.kind])
        if self._outage.is_dead:
            raise RefusedError.dead()
        if self._engine.fails_by_chance(self._outage.error_rate):
            raise RefusedError.failed(self._outage.error_status)

    def _publish(self) -> None:
        """Tell what the cache has gained and lost."""
        if self._send is not None and self._engine.stored is not None:
            self._send(self._engine.stored.events(*self._engine.changes()))

    async def _close(self, _: web.Application) -> None:
        if self._engine.driver is not None:
            self._engine.driver.close()

    def _head(self, http: web.Request, request: Generation) -> Head:
        name = _PREFIXES[request.operation] + self._id(http, request.request_id)
        return Head(name, int(time.time()), request.adapter or self._settings.models[0])

    def _id(self, http: web.Request, given: str | None) -> str:
        """The caller's own id, in vLLM's order of preference, or a new one."""
        new = f"{self._unique}{next(self._numbers):08x}"
        header = http.headers.get("X-Request-Id", "")
        # vLLM's web framework takes the bytes of headers for Latin-1, ours for UTF-8.
        return header.encode("utf-8", "surrogateescape").decode("latin-1") or given or new


class _OverError(Exception):
    """A stream has ended otherwise than it should, and the client was told."""

    def __init__(self, answer: web.StreamResponse) -> None:
        super().__init__()
        self.answer = answer


def _events(head: Head, request: Generation, run: Run) -> Iterator[tuple[int, bytes]]:
    match request.operation:
        case "responses":
            return ResponseStream(head, run, request.asked).events()
        case "messages":
            return message_events(head, run)
        case operation:
            return Stream(operation, head, run, request.usage).events()


def _whole_body(head: Head, request: Generation, run: Run) -> bytes:
    match request.operation:
        case "chat":
            return chat_body(head, run)
        case "completions":
            return completion_body(head, run)
        case "responses":
            return response_body(head, run, request.asked)
        case "messages":
            return message_body(head, run)


async def _expect(http: web.Request) -> None:
    """Ask for the body where that is waited for. vLLM's server passes over whatever else is expected."""
    expected = http.headers.get("Expect", "").lower()
    if expected == "100-continue" and http.version >= HttpVersion11 and http.transport:
        http.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _body(http: web.Request) -> bytes:
    media_type = http.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise RefusedError.malformed("Content-Type must be application/json", "body")
    return await http.read()


@web.middleware
async def _answer_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as refused:
        # vLLM's web framework checks the form, and knows OpenAI's shape only.
        is_anthropic = request.path.startswith(_ANTHROPIC_PATH) and refused.kind != MALFORMED
        write = message_error if is_anthropic else error_body
        return json_answer(write(refused), refused.status)
    except web.HTTPException as refused:  # no such path or method, or too large a body
        answer = json_answer(b'{"detail":"%b"}' % refused.reason.encode(), refused.status)
        if "Allow" in refused.headers:
            answer.headers["Allow"] = refused.headers["Allow"]
        return answer
    except _OverError as over:
        return over.answer
    except CutError:
        hang_up(request)
        return web.Response()  # goes nowhere
