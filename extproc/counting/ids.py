"""The token ids of a whole prompt, as the engine will compute them: where its cache tells of blocks by
their ids, beginnings can be looked up exactly.

The prompt is rendered, and cut at the special tokens of the template, because no word crosses one.
What was encoded before is remembered, so that the next turn of a conversation costs the new turn only.
"""

from collections.abc import Mapping
from typing import Any

from extproc.counting.counter import Threads, is_faithful
from extproc.counting.given import Given, read_given
from extproc.counting.talk import fit
from extproc.counting.tokenizer import CountError, HfTokenizer
from extproc.counting.vocabulary import Vocabulary
from extproc.dialects.canonical import TOKEN_ID_BYTES, write_bare, write_ids
from extproc.dialects.lengths import PROMPTS, as_list
from extproc.request import Kind

MOST_BYTES = 32 * 1024 * 1024
"""Of ids that are remembered, of one vocabulary: eight million tokens."""
MOST_CHARS = 262_144
"""A prompt that is longer is not worth it: encoding it takes a tenth of a second of CPU."""
ENTRY_BYTES = 200
"""Of what is remembered beside the ids themselves."""


class Encoded:
    """Ids of texts. Least recently used, in two generations, as `remembered.py`."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._half_bytes = most_bytes // 2
        self._young: dict[int, bytes] = {}
        self._old: dict[int, bytes] = {}
        self._young_bytes = 0

    def get(self, key: int) -> bytes | None:
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: int, ids: bytes) -> None:
        if self._young_bytes >= self._half_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[key] = ids
        self._young_bytes += len(ids) + ENTRY_BYTES


class TokenIds:
    """Of one model. Only `tokenizer.json` can tell ids; a file of ranks leaves special ones open."""

    def __init__(self, vocabulary: Vocabulary, threads: Threads) -> None:
        self._vocabulary = vocabulary
        self._threads = threads
        self._encoded = Encoded()
        own = vocabulary.tokenizer
        self._tokenizer = own if isinstance(own, HfTokenizer) else None
        self._frame = find_frame(own) if isinstance(own, HfTokenizer) else None

    async def find(self, kind: Kind, document: Mapping[str, Any]) -> bytes | None:
        """Encode a body's prompt, four bytes for each id; None: not exactly what the engine will see.

        Keeps the event loop for 1-2 ms at most; long texts are encoded in a thread.
        """
        if kind is Kind.COMPLETIONS:
            items = as_list(document.get(PROMPTS[kind]))
            if items and not isinstance(items[0], str):
                return write_bare(items, MOST_CHARS * TOKEN_ID_BYTES) or None
        try:
            texts, is_framed = self._cut(kind, document)
            missing = sum(len(text) for text in texts if self._encoded.get(hash(text)) is None)
            if self._tokenizer is None or missing > MOST_CHARS:
                return None
            if missing <= self._tokenizer.inline_chars:
                return self._join(texts, is_framed=is_framed)
            return await self._threads.run(
                lambda _until_s: self._join(texts, is_framed=is_framed), missing
            )
        except CountError:
            return None

    def _cut(self, kind: Kind, document: Mapping[str, Any]) -> tuple[list[str], bool]:
        """Render, and cut at special tokens, each of which stands in both parts; say whether the engine
        frames it. Raises: CountError."""
        template, given = self._vocabulary.template, self._read(kind, document)
        if given.talk is None:
            return given.texts, given.is_framed
        if template is None:
            raise CountError("there is no chat template")
        messages = fit(given.talk.messages, template)
        text = template.render(messages, given.talk.tools, given.talk.variables)
        texts, begin = list[str](), 0
        for found in self._vocabulary.find_holds(text):
            if found.start() > begin or begin:
                texts.append(text[begin : found.end()])
            begin = found.start()
        texts.append(text[begin:])
        return texts, given.is_framed

    def _read(self, kind: Kind, document: Mapping[str, Any]) -> Given:
        template = self._vocabulary.template
        later = template.takes_system_later if template else True
        given = read_given(kind, document, takes_system_later=later)
        if not is_faithful(given) or given.cut_to is not None or given.prompts != 1:
            raise CountError("the engine may see something else")
        return given

    def _join(self, texts: list[str], *, is_framed: bool) -> bytes:
        """Put the ids of all parts together. Raises: CountError."""
        parts = [self._encode(text) for text in texts]
        # The special token at the end of a part begins the next one.
        whole = b"".join(part[:-TOKEN_ID_BYTES] for part in parts[:-1]) + parts[-1]
        if not is_framed:
            return whole
        if self._frame is None:
            raise CountError("the engine adds something that is not known")
        return self._frame + whole

    def _encode(self, text: str) -> bytes:
        """Raises: CountError."""
        key = hash(text)
        ids = self._encoded.get(key)
        if ids is None:
            if self._tokenizer is None:
                raise CountError("this vocabulary tells no ids")
            ids = write_ids(self._tokenizer.encode(text))
            self._encoded.put(key, ids)
        return ids


def find_frame(tokenizer: HfTokenizer) -> bytes | None:
    """Find what an engine puts before a bare text; None: it adds something behind it as well."""
    bare, framed = (write_ids(tokenizer.encode("x", framed=each)) for each in (False, True))
    return framed.removesuffix(bare) if framed.endswith(bare) else None
