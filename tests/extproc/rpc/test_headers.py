import pytest
from hpack import Encoder

from extproc.rpc import frames
from extproc.rpc.frames import PeerError
from extproc.rpc.headers import BLOCK_BYTES, KNOWN_BLOCKS, HeaderBlocks

FIELDS = [(":method", "POST"), (":scheme", "http"), (":path", "/a/B"), (":authority", "w")]
PLAIN = [("te", "trailers"), ("content-type", "application/grpc")]


def without_table():
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder


@pytest.mark.parametrize("huffman", [False, True])
@pytest.mark.parametrize("make", [Encoder, without_table], ids=["table", "no table"])
def test_the_path_is_read_again_and_again(make, huffman):
    blocks, encoder = HeaderBlocks(), make()
    for path in ("/a/B", "/c/D", "/a/B", "/a/B"):
        fields = [FIELDS[0], FIELDS[1], (":path", path), FIELDS[3], *PLAIN]
        assert blocks.path(encoder.encode(fields, huffman=huffman)) == path


def test_a_block_is_remembered_only_where_it_always_means_the_same():
    """With a table, the same bytes name another header once something was added."""
    blocks, encoder = HeaderBlocks(), Encoder()
    first = encoder.encode([*FIELDS, ("x", "1")])
    assert blocks.path(first) == "/a/B"
    indexed = encoder.encode([*FIELDS, ("x", "1")])
    assert blocks.path(indexed) == "/a/B"
    blocks.skip(encoder.encode([("y", "2")]))
    moved = encoder.encode([*FIELDS, ("x", "1")])
    assert moved != indexed
    assert blocks.path(moved) == "/a/B"


def test_a_peer_cannot_make_us_remember_without_end():
    blocks, encoder = HeaderBlocks(), without_table()
    for number in range(KNOWN_BLOCKS + 10):
        assert blocks.path(encoder.encode([*FIELDS, ("x", str(number))])) == "/a/B"
    assert len(blocks._known) == KNOWN_BLOCKS


BAD = {
    "none at all": [],
    "no method": [*FIELDS[1:], *PLAIN],
    "no scheme": [FIELDS[0], *FIELDS[2:]],
    "no path": [*FIELDS[:2], FIELDS[3]],
    "empty path": [*FIELDS[:2], (":path", ""), FIELDS[3]],
    "path twice": [*FIELDS, FIELDS[2]],
    "path after others": [*FIELDS[:2], *PLAIN, FIELDS[2]],
    "of an answer": [*FIELDS, (":status", "200")],
    "unknown": [*FIELDS, (":x", "1")],
    "upper case": [*FIELDS, ("X", "1")],
    "of HTTP/1": [*FIELDS, ("connection", "close")],
    "te": [*FIELDS, ("te", "gzip")],
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD)
def test_what_no_request_has(fields):
    with pytest.raises(PeerError) as caught:
        HeaderBlocks().path(Encoder().encode(fields))
    assert caught.value.code == frames.PROTOCOL_ERROR


def test_pseudo_headers_are_no_trailers():
    with pytest.raises(PeerError):
        HeaderBlocks().skip(Encoder().encode(FIELDS))


@pytest.mark.parametrize(
    "block",
    [b"\xff\xff\xff\xff\xff", b"\xc6", Encoder().encode([("x", "y" * BLOCK_BYTES)], huffman=False)],
    ids=["garbage", "no such index", "too much"],
)
def test_what_cannot_be_unpacked(block):
    with pytest.raises(PeerError) as caught:
        HeaderBlocks().path(block)
    assert caught.value.code == frames.COMPRESSION_ERROR
