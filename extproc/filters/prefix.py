"""What a prompt begins with, in hashed blocks: so that it is sent to where that is cached.

Blocks are of the text as `dialects/canonical.py` writes it, or, where an engine tells of its cache
by token ids and the model's tokenizer is known, of the token ids that it will compute. Both begin
with the salt of the tenant and with the LoRA adapter: what these divide in an engine is divided here.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from engines.blocks import chain_bytes
from extproc.counting.counted import Counted
from extproc.decision import Decision
from extproc.dialects.canonical import write_prompt
from extproc.filter import Filter, OnFault
from extproc.filters.salt import Salt
from extproc.request import Fact, Identity, Kind, Model, Operation, Prompt, Request
from extproc.routing.prefixes import BLOCK_TOKENS

BLOCK_BYTES = 256
"""`BLOCK_TOKENS` of English, at four bytes for each, as llm-d estimates."""
BYTES_PER_TOKEN = BLOCK_BYTES // BLOCK_TOKENS
MOST_BLOCKS = 2_048
"""Of one prompt: 131 072 tokens, as llm-d. What comes later is not looked at."""
CACHED = frozenset({Kind.CHAT, Kind.COMPLETIONS, Kind.RESPONSES, Kind.MESSAGES})
"""Operations that engines cache prompts of."""

FindIds = Callable[[Kind, Mapping[str, Any]], Awaitable[bytes | None]]
"""A body -> the token ids of the whole prompt, as `engines.blocks.token_bytes`; None: cannot be had."""
BlockTokens = Callable[[str], int]
"""A pool -> the tokens in a block of its engines' caches; 0 is not known."""


class Prefix(Fact, frozen=True):
    """Established by `filters/prefix.py`."""

    blocks: Sequence[int] = ()
    block_tokens: int = BLOCK_TOKENS
    prompt_tokens: int = 0
    is_exact: bool = False
    """Blocks are of token ids, cut as the engine cuts them."""


class Prefixing(Filter):
    """A prompt whose beginning is not known is served all the same."""

    name: ClassVar[str] = "prefix"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})
    on_fault: OnFault = "continue"

    def __init__(
        self,
        adapters: Collection[str] = (),
        token_ids: Mapping[str, FindIds] | None = None,
        block_tokens: BlockTokens = lambda _pool: 0,
    ) -> None:
        """`adapters`: models that are LoRA adapters. `token_ids`: of models whose tokenizer is known,
        in pools whose engines tell of their caches."""
        self._adapters = frozenset(adapters)
        self._token_ids = token_ids or {}
        self._block_tokens = block_tokens

    async def decide(self, request: Request) -> Decision:
        kind, prompt = request.fact(Operation).kind, request.fact(Prompt)
        if kind not in CACHED:
            counted = request.find(Counted)
            return request.having(Prefix(prompt_tokens=counted.prompt_tokens if counted else 0))
        model = request.fact(Model)
        root = name_root(
            find_salt(request), model.served_as if model.name in self._adapters else ""
        )
        if find_ids := self._token_ids.get(model.name):
            block_tokens = self._block_tokens(model.pool)
            ids = await find_ids(kind, prompt.document) if block_tokens else None
            if ids is not None:
                return request.having(cut_ids(root, ids, block_tokens))
        text = write_prompt(kind, prompt.document, MOST_BLOCKS * BLOCK_BYTES)
        blocks = chain_bytes(root, text[: MOST_BLOCKS * BLOCK_BYTES], BLOCK_BYTES)
        counted = request.find(Counted)
        tokens = counted.prompt_tokens if counted else len(text) // BYTES_PER_TOKEN + 1
        return request.having(Prefix(blocks, BLOCK_TOKENS, tokens))


def cut_ids(root: str, ids: bytes, block_tokens: int) -> Prefix:
    """Cut token ids as the engine does."""
    size = 4 * block_tokens
    most = MOST_BLOCKS * BLOCK_TOKENS // block_tokens * size
    return Prefix(chain_bytes(root, ids[:most], size), block_tokens, len(ids) // 4, is_exact=True)


def find_salt(request: Request) -> str:
    """What the engine divides its cache by; where it cannot, at least no tenant sees another's."""
    salt = request.find(Salt)
    return salt.value if salt else request.fact(Identity).tenant


def name_root(salt: str, adapter: str) -> str:
    """Name what a chain begins with: the watch process does the same with what KV events say."""
    return f"{salt}\0{adapter}" if adapter else salt
