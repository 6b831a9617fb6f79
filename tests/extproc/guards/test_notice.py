"""What people are told of a ban."""

import msgspec

from alerts.alert import Kind, Severity
from extproc.guards.base import Ban, Barred, Case
from extproc.guards.notice import notice

BAN = Ban(Case("key:acme-1", why="more than 100 refusals in 60 s"), 1_800_000_000_000, 120.0, 2)


def test_a_ban():
    told = notice(BAN, "acme")
    assert (told.kind, told.severity, told.tenant) == (Kind.ABUSE, Severity.WARNING, "acme")
    assert told.title == "key:acme-1 is banned for 120 s"
    assert told.text == (
        "key:acme-1 is banned for 120 s, for more than 100 refusals in 60 s. "
        "`headgate guards lift key:acme-1` ends it."
    )
    assert told.facts == {
        "subject": "key:acme-1", "barred": "requests", "for_s": 120, "times": 2, "shadow": False,
    }  # fmt: skip
    assert told.id == "abuse:requests:1800000000000:key:acme-1"


def test_in_shadow_it_would_be():
    case = Case("address:192.0.2.1", Barred.LONG_PROMPTS, "7 of 20", shadow=True)
    told = notice(msgspec.structs.replace(BAN, case=case), "")
    assert told.title == "address:192.0.2.1 would be kept from long prompts for 120 s"
    assert (told.severity, told.tenant) == (Severity.INFO, None)


def test_an_id_is_short_enough_for_a_file():
    case = Case("user:acme/" + "x" * 300)
    assert len(notice(msgspec.structs.replace(BAN, case=case), "acme").id) == 256
