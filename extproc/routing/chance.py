"""Chance that every process agrees on: drawn from the settle key, not from a generator."""

import xxhash


def draw(key: str, what: str = "") -> int:
    """Draw 64 bits: the same for the same key, and another for each `what`."""
    return xxhash.xxh3_64_intdigest(f"{key}\0{what}".encode("utf-8", "surrogatepass"))


def share(key: str, what: str = "") -> float:
    """Draw from 0 up to, but not including, 1."""
    return (draw(key, what) >> 11) * 2.0**-53


def two_of(key: str, count: int) -> tuple[int, int]:
    """Draw two different numbers below `count`, which is at least 2."""
    drawn = draw(key, "two")
    first = drawn % count
    second = (drawn >> 32) % (count - 1)
    return first, second + (second >= first)
