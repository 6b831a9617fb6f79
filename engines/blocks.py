"""A prompt as a chain of block hashes: equal hashes are equal beginnings.

Made in two places that must agree: by workers of prompts, and by the watch process of what KV
events say is in an engine's cache. Each hash covers its own block and, through its parent, all before
it, and begins with the salt: two tenants share nothing, as in the engines (`cache_salt`).
"""

from collections.abc import Sequence

import xxhash

MASK = (1 << 64) - 1


def root(salt: str) -> int:
    """Begin a chain."""
    return xxhash.xxh3_64_intdigest(salt.encode("utf-8", "surrogatepass"))


def chain(parent: int, block: bytes) -> int:
    """Go on by one block: 0.2 us for 256 bytes."""
    return xxhash.xxh3_64_intdigest(block, parent)


def chain_bytes(salt: str, text: bytes, block_bytes: int) -> list[int]:
    """Hash all whole blocks of a text; what is left over at its end has none."""
    parent, hashes = root(salt), list[int]()
    for start in range(0, len(text) - block_bytes + 1, block_bytes):
        parent = xxhash.xxh3_64_intdigest(text[start : start + block_bytes], parent)
        hashes.append(parent)
    return hashes


def token_bytes(tokens: Sequence[int]) -> bytes:
    """Write token ids so that equal ids are equal bytes: four each, little end first."""
    return b"".join(token.to_bytes(4, "little") for token in tokens)
