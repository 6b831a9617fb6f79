"""A tiny Llama with random weights, for a real vLLM: its words are nonsense, its counts are true.

Written with the standard library alone, byte for byte the same everywhere, in half a second, so
neither torch nor a download is needed to make it. Run as `python -m engines.localvllm.model DIR`.
"""

# ruff: noqa: T201 - a command talks to a person
import argparse
import json
import math
import random
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

from engines.localvllm import tokenizer

HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS = 128, 384, 4, 4, 2
"""Heads of 32: the smallest that vLLM's attention on CPU accepts."""
HEAD_SIZE = HIDDEN // HEADS
MAX_POSITIONS = 8192
MERGES = 1500
"""About 1 750 tokens in all: an answer sampled at temperature 1 meets the end token once in so many
tokens, so most answers run to their `max_tokens` and some end by themselves."""

Shape = tuple[int, ...]


def tensor_shapes(vocabulary_size: int) -> dict[str, Shape]:
    """Every tensor of the checkpoint, by the names that Llama has in transformers."""
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (vocabulary_size, HIDDEN)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        shapes |= {
            f"{prefix}.input_layernorm.weight": (HIDDEN,),
            f"{prefix}.self_attn.q_proj.weight": (HEADS * HEAD_SIZE, HIDDEN),
            f"{prefix}.self_attn.k_proj.weight": (KV_HEADS * HEAD_SIZE, HIDDEN),
            f"{prefix}.self_attn.v_proj.weight": (KV_HEADS * HEAD_SIZE, HIDDEN),
            f"{prefix}.self_attn.o_proj.weight": (HIDDEN, HEADS * HEAD_SIZE),
            f"{prefix}.post_attention_layernorm.weight": (HIDDEN,),
            f"{prefix}.mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN),
            f"{prefix}.mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
            f"{prefix}.mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
        }
    return shapes | {
        "model.norm.weight": (HIDDEN,),
        "lm_head.weight": (vocabulary_size, HIDDEN),
    }


def random_bf16(count: int, chance: random.Random) -> bytes:
    """`count` little-endian bf16 numbers, either sign, magnitudes between 2**-7 and 2**-5.

    Their spread (standard deviation 0.018) is what Llama's initialisation has (0.02). The high byte
    holds the sign and seven exponent bits, the low byte the last exponent bit and the mantissa, so
    random low bytes under two fixed high bytes are random numbers of the right size.
    """
    sign = bytes(0x3C if byte < 0x80 else 0xBC for byte in range(256))
    numbers = bytearray(2 * count)
    numbers[0::2] = chance.randbytes(count)
    numbers[1::2] = chance.randbytes(count).translate(sign)
    return bytes(numbers)


def ones_bf16(count: int) -> bytes:
    return b"\x80\x3f" * count


def safetensors(shapes: Mapping[str, Shape], seed: int = 2) -> bytes:
    """A safetensors file: header length, JSON header, then the tensors one after another.

    Format: https://huggingface.co/docs/safetensors. Norm weights are 1, all others random.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, nothing secret
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    tensors: list[bytes] = []
    end = 0
    for name, shape in shapes.items():
        count = math.prod(shape)
        tensor = ones_bf16(count) if name.endswith("norm.weight") else random_bf16(count, chance)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + len(tensor)]}
        tensors.append(tensor)
        end += len(tensor)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors start on a multiple of eight
    return struct.pack("<Q", len(text)) + text + b"".join(tensors)


def llama_config(vocabulary: Mapping[str, int]) -> dict[str, object]:
    """`config.json`: what vLLM needs to build the network."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": len(vocabulary),
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_SIZE,
        "hidden_act": "silu",
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": None,
        "eos_token_id": vocabulary[tokenizer.END],
        "pad_token_id": vocabulary[tokenizer.PAD],
    }


def tokenizer_config() -> dict[str, object]:
    """`tokenizer_config.json`: which tokens are special, and how a chat becomes text."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_POSITIONS,
        "eos_token": tokenizer.END,
        "pad_token": tokenizer.PAD,
        "clean_up_tokenization_spaces": False,
        "chat_template": tokenizer.CHAT_TEMPLATE,
    }


def model_files() -> dict[str, bytes]:
    """Every file of the model directory, by name. Takes half a second."""
    text = tokenizer.write_text(sentences=2000)
    merges = tokenizer.train(tokenizer.count_words(text), MERGES)
    vocabulary = tokenizer.vocabulary(merges)
    return {
        "config.json": json.dumps(llama_config(vocabulary), indent=2).encode(),
        "tokenizer_config.json": json.dumps(tokenizer_config(), indent=2).encode(),
        "tokenizer.json": tokenizer.tokenizer_json(merges).encode(),
        "model.safetensors": safetensors(tensor_shapes(len(vocabulary))),
    }


def write_model(directory: Path) -> None:
    """Put the model into the directory, which is created when missing.

    What is there already and right stays untouched: a running server may have it mapped.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in model_files().items():
        path = directory / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def main() -> int:
    """Write the model; the command's exit code."""
    parser = argparse.ArgumentParser(prog="python -m engines.localvllm.model", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path(".vllm/model-tiny"))
    directory: Path = parser.parse_args().directory
    try:
        write_model(directory)
    except OSError as error:
        print(f"error: cannot write the model to {directory}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
