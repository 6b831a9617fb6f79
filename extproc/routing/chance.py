"""Chance that every process agrees on: drawn from the settle key, not from a generator."""

import xxhash


def draw(key: str, what: str = "") -> int:
    """Draw 64 bits: the same for the same key, and another for each `what`."""
    return xxhash.xxh3_64_intdigest(f"{key}\0{what}".encode("utf-8", "surrogatepass"))


def share(key: str, what: str = "") -> float:
    """Draw from 0 up to, but not including, 1."""
    return (draw(key, what) >> 11) * 2.0**-53
