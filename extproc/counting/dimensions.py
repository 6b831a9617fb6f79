"""How large an image is, from its first bytes: PNG, JPEG, GIF, WebP.

Nothing is decoded. Sources: PNG (ISO 15948) 11.2.2, GIF89a 18, JPEG (ITU T.81) B.2.2, WebP container
and lossless specifications, RFC 6386 9.1.
"""

import base64
import binascii
from typing import NamedTuple

HEAD_BYTES, NOTES_BYTES = 1536, 96 * 1024
"""As far as is looked; the second only in JPEGs, where up to 64 KiB of a camera's notes stand before the
size."""
JPEG = b"\xff\xd8"
LARGEST_PX = 2**20
"""Formats end at 2^31; whatever claims more than this is no image that a model takes."""


class Size(NamedTuple):
    width: int
    height: int


def read_size(data: str, start: int = 0) -> Size | None:
    """Read base64 from `start` on. None: not one of the four, or cut off before its size."""
    head = decode(data, start, HEAD_BYTES)
    size = read_header(head)
    if size is None and head.startswith(JPEG):
        size = read_header(decode(data, start, NOTES_BYTES))
    return size if size and min(size) > 0 and max(size) <= LARGEST_PX else None


def decode(data: str, start: int, length: int) -> bytes:
    """Decode so many bytes of base64; none when it is something else."""
    text = data[start : start + length * 4 // 3]
    try:
        return base64.b64decode(text[: len(text) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""


def read_header(head: bytes) -> Size | None:
    """Tell formats apart by how they begin."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        return Size(int.from_bytes(head[16:20]), int.from_bytes(head[20:24]))
    if head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        return Size(little(head, 6, 2), little(head, 8, 2))
    if head.startswith(JPEG):
        return read_jpeg(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) >= 30:
        return read_webp(head)
    return None


def little(head: bytes, start: int, length: int) -> int:
    return int.from_bytes(head[start : start + length], "little")


def read_jpeg(head: bytes) -> Size | None:
    """Go from segment to segment until one that begins a frame."""
    at = 2
    while at + 9 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:  # a filling byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(head[at + 5 : at + 7])
            return Size(int.from_bytes(head[at + 7 : at + 9]), height)
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # these have no length
            at += 2
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return None


def read_webp(head: bytes) -> Size | None:
    """Three kinds: lossy, lossless, extended."""
    match head[12:16]:
        case b"VP8 " if head[23:26] == b"\x9d\x01\x2a":
            return Size(little(head, 26, 2) & 0x3FFF, little(head, 28, 2) & 0x3FFF)
        case b"VP8L" if head[20] == 0x2F:
            bits = little(head, 21, 4)
            return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"VP8X":
            return Size(little(head, 24, 3) + 1, little(head, 27, 3) + 1)
        case _:
            return None
