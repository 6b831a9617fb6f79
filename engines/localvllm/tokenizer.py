"""A small byte-level BPE tokenizer, trained here on text made here: deterministic, no library.

Written as `tokenizer.json`, the format that Hugging Face's tokenizers reads. Every byte is in the
vocabulary, so any text can be encoded; the words below become one token each, others a few.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (PAD, START, END)
"""In the order of their ids, 0 to 2. START and END frame a chat message; END ends an answer."""

CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
Tools: {{ tools | tojson }}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

WHO = (
    "The old ferryman|A young engineer|My neighbour|The night nurse|Our teacher|The head cook|"
    "Every gardener|The lighthouse keeper|A patient customer|The new model|This support agent|"
    "The quiet librarian|Their pilot|An honest merchant|The user|The assistant|Nobody|Your sister"
)
DOES = (
    "writes|reads|answers|counts|repairs|remembers|forgets|translates|explains|carries|sells|"
    "measures|paints|compares|summarises|needs|wants|has|gives|finds|opens|closes|asks about"
)
WHAT = (
    "a long letter|the broken clock|seven questions|the price of bread|a map of the river|"
    "the first page|an invoice|the weather report|three small boats|a list of names|the key|"
    "this request|another order|the last ticket|some warm soup|the answer|a poem about rain|"
    "her favourite book|the whole story|good code|a short summary|the number of tokens"
)
WHERE = (
    "in the kitchen|near the harbour|on the train|behind the old mill|at the market|by the window|"
    "under a lamp|in the office|across the bridge|for the customer|with great care|in Berlin|"
    "without a word|from memory|to the city|before the meeting|after the storm|in plain English"
)
WHEN = (
    "today|tomorrow morning|every Friday|at noon|once a year|late at night|when it is cold|"
    "because time is short|and smiles|but says nothing|so that everyone can see|again and again|"
    "if you please|while the others sleep|or not at all|please be brief|thank you"
)

COMMON = """
a about above after again all almost also always am among an and any are around as ask at away back
be became because been before began being below best better between big both bring but by call came
can cannot carry cause change close come could count cut day did different do does done down draw
each early easy either else end enough even ever every example exactly explain face fact far fast
feel few find first follow food for form found four free from full game gave get give go good got
great grow had half hand happen hard has have he hear held help her here high him himself his hold
home hope hour house how however hundred idea if important in inside into is it its itself just keep
kind knew know land language large last late learn least leave left less let letter life light like
line list little live long look lost low made main make man many may me mean men might mind minute
miss money moon more most mother mountain move much must my name near never new next night no north
not nothing now number of off often oh old on once one only open or order other our out over own
page paper part pass past people perhaps person picture place plan plant play point possible power
press problem put question quick quiet quite rain ran reach read ready real reason red rest right
river road room round run said same saw say school sea second see seem seen send sentence set seven
several shall she ship short should show side simple since sing sit six sleep slow small snow so
some song soon sound south speak spring stand star start state stay step still stop story street
strong such summer sun sure table take talk teach tell ten than that the their them then there these
they thing think third this those though thought thousand three through time to together told too
took toward town travel tree true try turn two under understand until up upon us use usual very
voice wait walk wall want warm was watch water way we week well went were west what when where which
while white who whole why will wind winter with within without wonder wood word work world would
write year yes yet you young your
access account answer api array batch cache chat check client code complete compute content cost
data default delete deploy document error event false file function gateway header import input
instruction json key latency limit load log memory message method model network null object output
parameter path policy prompt proxy python query record region reply request response result return
role route sample schema search secret server service session stream string summary support system
tenant test text token tool traffic translate type update upload usage user value version
"""

Word = tuple[str, ...]
Pair = tuple[str, str]


def write_text(sentences: int, seed: int = 1) -> str:
    """The common words, then sentences from the lists above with a number and a mark at the end."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, nothing secret
    phrases = [text.split("|") for text in (WHO, DOES, WHAT, WHERE, WHEN)]
    lines = [COMMON, COMMON]
    for _ in range(sentences):
        parts = [chance.choice(words) for words in phrases]
        lines.append(f"{' '.join(parts)}, number {chance.randrange(1000)}{chance.choice('.?!')}")
    return "\n".join(lines)


def byte_letters() -> tuple[str, ...]:
    """The visible letter for each byte, 0 to 255, as byte-level BPE has them since GPT-2.

    Printable Latin-1 stands for itself; all others, the space among them, take 256 and up.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))


def count_words(text: str) -> Counter[Word]:
    """How often each word occurs, its leading space included, spelled in byte letters."""
    letters = byte_letters()
    words = re.finditer(r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+", text)
    return Counter(tuple(letters[byte] for byte in word.group().encode()) for word in words)


def merge(word: Word, pair: Pair) -> Word:
    """The word with every occurrence of the pair, from the left, made one piece."""
    pieces: list[str] = []
    position = 0
    while position < len(word):
        if word[position : position + 2] == pair:
            pieces.append(pair[0] + pair[1])
            position += 2
        else:
            pieces.append(word[position])
            position += 1
    return tuple(pieces)


def add_pairs(pairs: Counter[Pair], word: Word, count: int) -> None:
    """Add the word's neighbouring pieces to `pairs`, or with a negative count take them out."""
    for pair in pairwise(word):
        pairs[pair] += count
        if not pairs[pair]:
            del pairs[pair]


def train(words: Mapping[Word, int], merges: int) -> list[Pair]:
    """The first `merges` merges of byte-pair encoding; fewer when no pair occurs twice.

    The most frequent pair first; among equals the alphabetically last, so that the result does
    not depend on the order of `words`. Counts are kept up to date rather than taken anew.
    """
    learned: list[Pair] = []
    counts = dict(words)
    pairs: Counter[Pair] = Counter()
    for word, count in counts.items():
        add_pairs(pairs, word, count)
    while len(learned) < merges:
        best = max(pairs, key=lambda pair: (pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:  # seen once, it teaches nothing
            break
        learned.append(best)
        for word in [word for word in counts if best[0] in word]:
            merged = merge(word, best)
            count = counts.pop(word)
            counts[merged] = count
            add_pairs(pairs, word, -count)
            add_pairs(pairs, merged, count)
    return learned


def vocabulary(merges: Iterable[Pair]) -> dict[str, int]:
    """Token to id: the special ones, the 256 bytes, then each merge in the order learned.

    Two merges may spell the same token; it keeps its first id.
    """
    tokens = [*SPECIAL_TOKENS, *byte_letters(), *(left + right for left, right in merges)]
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def tokenizer_json(merges: list[Pair]) -> str:
    """The whole tokenizer as `tokenizer.json`."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {"id": number, "content": token, "special": True, **special}
                for number, token in enumerate(SPECIAL_TOKENS)
            ],
            "normalizer": None,
            "pre_tokenizer": {**byte_level, "use_regex": True},
            "post_processor": None,
            "decoder": {**byte_level, "use_regex": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": vocabulary(merges),
                "merges": merges,
            },
        },
        ensure_ascii=False,
    )
