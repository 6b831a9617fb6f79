"""Header blocks (HPACK, RFC 7541) -> the path that is called."""

from collections.abc import Iterable

from hpack import Decoder
from hpack.exceptions import HPACKError

from extproc.rpc.frames import COMPRESSION_ERROR, PROTOCOL_ERROR, PeerError

BLOCK_BYTES = 64 * 1024
"""Largest header block, packed or unpacked. Envoy's own limit is 60 KiB."""
KNOWN_BLOCKS = 256
"""Header blocks remembered. An Envoy sends the same few for all of its calls."""

NEEDED = frozenset({b":method", b":scheme", b":path"})
PSEUDO = NEEDED | {b":authority"}
HTTP1 = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"upgrade"})
"""Names that mean something on one HTTP/1 connection only (RFC 9113 8.2.2)."""

Field = tuple[bytes, bytes]


class HeaderBlocks:
    """Of one connection. A peer keeps no table of headers once it has read our settings, and a block
    means the same wherever it comes; until then, or if it does all the same, each is decoded."""

    def __init__(self) -> None:
        self._decoder = Decoder(BLOCK_BYTES)
        self._known: dict[bytes, str] = {}

    def path(self, block: bytes) -> str:
        """Read the headers of a request. Raises: PeerError."""
        known = self._known.get(block)
        if known is not None:
            return known
        path = find_path(self._decode(block))
        if not self._decoder.header_table_size and len(self._known) < KNOWN_BLOCKS:
            self._known[block] = path
        return path

    def skip(self, block: bytes) -> None:
        """Read trailers, which say nothing to us. Raises: PeerError."""
        if any(name.startswith(b":") for name, _ in self._decode(block)):
            raise PeerError(PROTOCOL_ERROR, "a pseudo-header in trailers")

    def _decode(self, block: bytes) -> Iterable[Field]:
        try:
            return self._decoder.decode(block, raw=True)
        except HPACKError as exc:
            raise PeerError(COMPRESSION_ERROR, str(exc)) from exc


def find_path(fields: Iterable[Field]) -> str:
    """See that these can be the headers of a request (RFC 9113 8.2 and 8.3). Raises: PeerError."""
    fields = list(fields)
    names = [name for name, _ in fields]
    pseudo = {name: value for name, value in fields if name.startswith(b":")}
    # As many as come first: each once, and none after the others.
    if not NEEDED <= set(names[: len(pseudo)]) <= PSEUDO or not pseudo[b":path"]:
        raise PeerError(PROTOCOL_ERROR, "pseudo-headers of no request")
    plain = names[len(pseudo) :]
    if any(name != name.lower() or name.startswith(b":") or name in HTTP1 for name in plain):
        raise PeerError(PROTOCOL_ERROR, "a header that HTTP/2 does not allow")
    if dict(fields).get(b"te", b"trailers") != b"trailers":
        raise PeerError(PROTOCOL_ERROR, "te is not trailers")
    return pseudo[b":path"].decode("latin-1")
