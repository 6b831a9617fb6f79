"""How vocabularies cut a text into words before they look for tokens, and which of them let a text be
counted in pieces.

The expressions are facts: another one counts another number. Sources: OpenAI's tiktoken
(`openai_public.py`), Qwen's `tokenization_qwen.py`; tokens of Qwen: its `tokenizer_config.json`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from extproc.counting.loose import Members, as_object, as_objects

CONTRACTIONS = r"'(?i:[sdmt]|ll|ve|re)"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "cl100k": rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+(?:{CONTRACTIONS})?"
        rf"|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*(?:{CONTRACTIONS})?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "qwen": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "qwen3.5": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
        r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    }
)
_CHAT = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_QWEN = (
    *_CHAT, "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
    "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>",
    "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
    "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
SPECIALS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "cl100k": (*_CHAT, "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|endofprompt|>"),
        "o200k": ("<|endoftext|>", "<|endofprompt|>"),
        "qwen": _QWEN,
        "qwen3.5": (*_QWEN, "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>"),
    }
)
"""What a policy need not name. Only that they are one token each matters here."""

SPLITS = frozenset(
    {
        *PATTERNS.values(),
        # Llama 3 and 4, and what is made from them; OpenAI's cl100k in the older writing.
        (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
        # GPT-2 and what is made from it.
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    }
)
"""Expressions for which `pieces.py` is proven."""
HARMLESS = frozenset({None, "NFC"})
"""Changes to a text that a cut at `pieces`' places cannot disturb."""


def cuts_at_words(raw: bytes) -> bool:
    """Tell whether a `tokenizer.json` splits a text so that `pieces` does not change its count."""
    whole = as_object(msgspec.json.decode(raw))
    normalizer = as_object(whole.get("normalizer")).get("type")
    # A model without a type is of the oldest kind.
    if normalizer not in HARMLESS or as_object(whole.get("model")).get("type", "BPE") != "BPE":
        return False
    before = as_object(whole.get("pre_tokenizer"))
    steps = as_objects(before.get("pretokenizers", [before]))
    return bool(steps) and is_known(steps[0])


def is_known(step: Members) -> bool:
    """Judge the first step, which sees the text as it is. What comes after only cuts further."""
    if step.get("type") == "ByteLevel":
        return step.get("use_regex") is not False and step.get("add_prefix_space") is False
    given = as_object(step.get("pattern")).get("Regex")
    return step.get("type") == "Split" and step.get("behavior") == "Isolated" and given in SPLITS
