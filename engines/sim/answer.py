"""The words of an answer: decided by the prompt, the seed and the index of the choice alone."""

import hashlib
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

_WORDS = """
a above after again all an and any are as ask at autumn be begin bird black blue bread bridge bright
bring but candle carry close closed cloud cold corner dark deep door dry each early edge eight empty
engine evening every far fast few field finish first fish five follow for forest forget four fox
from full garden gather gold green grey had hard harbour has have high hill his hold horse hour if
in is island it keep kitchen ladder lantern last late learn left lemon letter light listen little
long loud low many market mend midnight minute mirror month moon more morning most mountain much
narrow near new next night nine no noon not number of old on one onion open or other own paint pale
paper pencil pepper plant plum quiet rain read red remember ribbon rice right river road saddle salt
same seven she sheep shore short shovel signal silver six slow small snow so soft some speak spring
star stone storm such sugar summer sun table teach ten that the their them then there they this
thread three through thunder ticket to tunnel turn two under until up valley velvet village wait
walk was watch water we week were wet wheel whistle white wide wind window winter with wolf write
year yellow yesterday you young your café naïve señor über
"""
_MARKS = "......,,,,,,;:?!"
_WIDE = "你好山水日月木石海雨"  # one token, three bytes: no stream may be cut by characters
_SYMBOLS = "—…🌱🚀"

VOCABULARY: tuple[str, ...] = (
    *(f" {word}" for word in _WORDS.split()),
    *_MARKS,
    *_WIDE,
    *(f" {symbol}" for symbol in _SYMBOLS),
)
"""256 pieces of exactly one token each, none with a character that JSON escapes."""

SHORTEST_TOKENS = 16
SPREAD_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Wish:
    """What the request says about its answer. Lengths in tokens."""

    seed: int = 0
    at_least: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    first_letters: int = 0
    """Letters of the first word, for the fault `huge`; 0 leaves it alone."""
    call: str = ""
    """The tool that has to be called; the words become its only argument."""


@dataclass(frozen=True, slots=True)
class Words:
    """A finished answer: one piece of text per generated token. The end-of-text token has none."""

    pieces: tuple[str, ...]
    finish_reason: Literal["stop", "length"]
    stop_reason: str | None = None
    call: str = ""
    """The tool that is called; then the pieces are its arguments, as JSON."""


def digest(prompt: str) -> bytes:
    """What an answer depends on. Taken once per prompt: 5 us for 4 kB."""
    return hashlib.blake2b(prompt.encode(), digest_size=16).digest()


def compose(prompt_digest: bytes, index: int, limit: int, wish: Wish, lead: str) -> Words:
    """Write choice `index`, at most `limit` tokens. `lead` is the space before its first word.

    Cost: about 3 us for 64 tokens.
    """
    source = hashlib.shake_128(b"%b/%d/%d" % (prompt_digest, wish.seed, index))
    natural = max(SHORTEST_TOKENS + source.digest(1)[0] % SPREAD_TOKENS, wish.at_least)
    ends = not wish.ignore_eos and natural < limit
    drawn = source.digest(natural if ends else limit)
    pieces = [VOCABULARY[byte] for byte in drawn]
    if wish.first_letters:
        pieces[0] = " " + "a" * wish.first_letters
    pieces[0] = lead + pieces[0].lstrip()
    if wish.call:
        return _call(pieces, limit, wish.call)
    if wish.stop and (cut := _cut(pieces, wish.stop)):
        return cut
    if ends:
        pieces.append("")
    return Words(tuple(pieces), "stop" if ends else "length")


def _call(words: list[str], limit: int, tool: str) -> Words:
    """Write `{"say":"..."}`. Every mark is a token, and the end of text, which has none, is one."""
    pieces = ("{", '"', "say", '"', ":", '"', *words, '"', "}", "")
    is_cut = len(pieces) > limit
    return Words(pieces[:limit], "length" if is_cut else "stop", call=tool)


def _cut(pieces: list[str], stops: tuple[str, ...]) -> Words | None:
    """End the answer at the first stop string: generated to its last token, shown up to its start."""
    text = "".join(pieces)
    found = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return None
    shown, stop = min(found, key=lambda hit: hit[0] + len(hit[1]))
    ends = list(accumulate(map(len, pieces)))
    generated = next(i for i, end in enumerate(ends, 1) if end >= shown + len(stop))
    kept = [
        piece[: max(0, shown - (end - len(piece)))]
        for piece, end in zip(pieces[:generated], ends, strict=False)
    ]
    return Words(tuple(kept), "stop", stop)
