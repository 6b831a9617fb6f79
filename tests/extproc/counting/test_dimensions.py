"""Sizes of images from their first bytes."""

import base64
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.counting.dimensions import HEAD_BYTES, NOTES_BYTES, Size, read_header, read_size


def png(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


def gif(width, height):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)


def jpeg(width, height, notes=0, frame=0xC0):
    app = b"\xff\xe1" + struct.pack(">H", notes + 2) + bytes(notes)
    tables = b"\xff\xdb\x00\x04\x00\x00\xff\xff\xc4\x00\x03\x00\xff\xd0"
    begin = bytes([0xFF, frame]) + struct.pack(">HBHHB", 17, 8, height, width, 3)
    return b"\xff\xd8" + app + tables + begin + bytes(20)


def webp(kind, body):
    return (
        b"RIFF" + struct.pack("<I", 100) + b"WEBP" + kind + struct.pack("<I", 80) + body + bytes(20)
    )


def lossy(width, height):
    return webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height))


def lossless(width, height):
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14))


def extended(width, height):
    return webp(
        b"VP8X", bytes(4) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    )


@pytest.mark.parametrize("make", [png, gif, jpeg, lossy, lossless, extended])
@settings(deadline=None)
@given(width=st.integers(1, 16_383), height=st.integers(1, 16_383))
def test_every_format(make, width, height):
    data = base64.b64encode(make(width, height)).decode()
    assert read_size(data) == Size(width, height)
    assert read_size("data:," + data, 6) == Size(width, height)


def test_jpegs_with_notes_of_a_camera_and_every_kind_of_frame():
    noted = jpeg(640, 480, notes=65_000)
    assert read_size(base64.b64encode(noted).decode()) == Size(640, 480)
    frames = [n for n in range(0xC0, 0xD0) if n not in (0xC4, 0xC8, 0xCC)]
    assert all(read_header(jpeg(640, 480, frame=frame)) == Size(640, 480) for frame in frames)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"\xff\xd8" + bytes(50),
        b"\xff\xd8" + b"\xff\xe0\x00\x00" * 5_000,
        b"\xff\xd8" + b"\xff" * 50_000,
        b"RIFF" + bytes(40),
        webp(b"ABCD", bytes(20)),
        webp(b"VP8L", bytes(20)),
        b"%PDF-1.7" + bytes(100),
    ],
)
def test_what_has_no_size(head):
    assert read_header(head) is None


@pytest.mark.parametrize("make", [png(0, 5), png(5, 0), png(2**31 - 1, 5)])
def test_sizes_that_no_image_has(make):
    assert read_size(base64.b64encode(make).decode()) is None


def test_text_that_is_no_base64_and_images_without_end():
    assert read_size("ä" * 100) is None
    assert read_size("") is None
    data = base64.b64encode(png(3, 4)).decode() + "A" * 10_000_000
    assert read_size(data) == Size(3, 4)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"RIFF0000WEBPVP8X", b"GIF87a"]))
def test_nothing_makes_it_fail(noise, begin):
    found = read_header(begin + noise)
    assert found is None or len(found) == 2
    assert HEAD_BYTES % 3 == NOTES_BYTES % 3 == 0, "so that a cut falls between groups of base64"
