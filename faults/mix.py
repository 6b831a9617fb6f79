"""What is asked: chats, completions and embeddings, whole and streamed, for two tenants; refusals; and
clients that leave.

Streams ask for usage in every chunk, so that the client of a stream that breaks knows, too, how far
it came. Paces are such that some twenty answers are under way at any moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

KEYS = {"acme": "sk-headgate-acme", "globex": "sk-headgate-globex"}
"""The demo policy's."""
NOBODYS_KEY = "sk-headgate-nobody"
MODEL = "demo"
PROMPT_TOKENS_MAX = 40
"""More than any prompt here has."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of request."""

    name: str
    share: int
    """How often it comes, relative to the others."""
    body: Mapping[str, object]
    """Empty: a GET."""
    path: str = "/v1/chat/completions"
    status: int = 200
    """What it is answered with when all is well."""
    known: bool = True
    """Its key is somebody's."""
    leaves_after: int = 0
    """Events of a stream after which the client leaves; 0: it stays."""
    leaves_s: float = 0.0
    """Seconds after its request is sent when it leaves, whatever has come; 0: it stays."""

    @property
    def n(self) -> int:
        """How many answers are asked for: engines count the prompt once for each."""
        return int(str(self.body.get("n", 1)))

    @property
    def completion_tokens_max(self) -> int:
        return self.n * int(str(self.body.get("max_tokens", 0)))

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))


def paced(ttft_ms: int, itl_ms: int) -> Mapping[str, object]:
    return {"ttft_ms": ttft_ms, "itl_ms": itl_ms}


def chat(max_tokens: int, **more: object) -> Mapping[str, object]:
    text = "What is the harbour like in winter, when the boats are in?"
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": max_tokens,
        "x_sim": paced(200, 15),
        **more,
    }


def completion(max_tokens: int, **more: object) -> Mapping[str, object]:
    body = dict(chat(max_tokens, **more))
    del body["messages"]
    return {**body, "prompt": "The boats came in before the storm"}


STREAM: Mapping[str, object] = {
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}
COMPLETIONS, EMBEDDINGS = "/v1/completions", "/v1/embeddings"
EMBEDDED = {"model": MODEL, "input": ["low water", "high water at noon"]}

SHAPES = (
    Shape("chat", 22, chat(12)),
    Shape("chat, two answers", 5, chat(8, n=2)),
    Shape("chat stream", 20, chat(20, **STREAM)),
    Shape("chat stream, three answers", 5, chat(8, n=3, **STREAM)),
    Shape("chat stream, slow", 6, chat(60, x_sim=paced(800, 30), **STREAM)),
    Shape("completion", 8, completion(10), COMPLETIONS),
    Shape("completion stream", 8, completion(16, **STREAM), COMPLETIONS),
    Shape("embeddings", 8, EMBEDDED, EMBEDDINGS),
    Shape("leaves midway", 5, chat(200, x_sim=paced(200, 30), **STREAM), leaves_after=6),
    Shape("leaves before the first token", 2, chat(8, x_sim=paced(5000, 15)), leaves_s=0.4),
    Shape("models", 2, {}, "/v1/models"),
    Shape("bad key", 3, chat(8), status=401, known=False),
    Shape("unknown model", 3, chat(8, model="moon"), status=404),
    Shape("bad body", 3, chat(8, messages="none"), status=400),
)
BY_NAME = {shape.name: shape for shape in SHAPES}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, ready to be sent."""

    request_id: str
    shape: Shape
    tenant: str | None

    @property
    def headers(self) -> dict[str, str]:
        key = KEYS[self.tenant] if self.tenant else NOBODYS_KEY
        return {"authorization": f"Bearer {key}", "x-request-id": self.request_id}


class Mix:
    """Draws requests, the same ones in every run of the same name."""

    def __init__(self, name: str) -> None:
        """`name` begins every request id."""
        self._name = name
        self._number = 0
        self._draw = Random(name)  # noqa: S311 - repeatable on purpose
        self._shares = [shape.share for shape in SHAPES]

    def next(self) -> Ask:
        self._number += 1
        (shape,) = self._draw.choices(SHAPES, self._shares)
        tenant = self._draw.choice(sorted(KEYS)) if shape.known else None
        return Ask(f"{self._name}-{self._number}", shape, tenant)
