import msgspec

from audit.record import Record


def test_a_record_goes_there_and_back_and_leaves_out_what_is_empty():
    plain = Record(at_ms=1, action="key.revoked", actor="ops", object="support-bot")
    written = msgspec.json.encode(plain)
    assert b"tenant" not in written
    assert msgspec.json.decode(written, type=Record) == plain
    full = Record(2, "pii.masked", "k1", "email", "masked", "acme", "r", "s", {"count": 3})
    assert msgspec.json.decode(msgspec.json.encode(full), type=Record) == full
