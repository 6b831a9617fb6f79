"""Checksums and words: what decides whether a candidate is a value."""

import pytest

from extproc.safety.pii import checks


def check(which, text, before=""):
    raw = f"\n{before}{text}\n".encode()
    start = 1 + len(before.encode())
    found = which(raw, start, len(raw) - 1)
    return raw[found[0] : found[1]].decode() if found else None


@pytest.mark.parametrize(
    ("which", "text", "kept"),
    [
        (checks.resident_id, "11010519491231002X", "11010519491231002X"),
        (checks.resident_id, "110105 19491231 002x", "110105 19491231 002x"),
        (checks.resident_id, "110105194912310021", None),
        (checks.resident_id, "990105194912310021", None),
        (checks.resident_id, "11010519490231002X", None),
        (checks.old_resident_id, "110105491231002", "110105491231002"),
        (checks.old_resident_id, "110105491331002", None),
        (checks.bank_card, "4111111111111111", "4111111111111111"),
        (checks.bank_card, "4111 1111 1111 1111 123", "4111 1111 1111 1111"),
        (checks.bank_card, "4111111111111112", None),
        (checks.bank_card, "4 1 1 1 1111 1111 1111", None),
        (checks.bank_card, "0000000000000000", None),
        (checks.iban, "GB29 NWBK 6016 1331 9268 19", "GB29 NWBK 6016 1331 9268 19"),
        (checks.iban, "GB29 NWBK 6016 1331 9268 19 MORE", "GB29 NWBK 6016 1331 9268 19"),
        (checks.iban, "gb29nwbk60161331926819", "gb29nwbk60161331926819"),
        (checks.iban, "GB30 NWBK 6016 1331 9268 19", None),
        (checks.iban, "ZZ29 NWBK 6016 1331 9268 19", None),
        (checks.iban, "GB29 NWBK 60", None),
        (checks.uscc, "91350100M000100Y43", "91350100M000100Y43"),
        (checks.uscc, "91350100M000100Y44", None),
        (checks.hkid, "A123456(3)", "A123456(3)"),
        (checks.hkid, "A123456(4)", None),
        (checks.ssn, "123-45-6789", "123-45-6789"),
        (checks.ssn, "666-45-6789", None),
        (checks.ssn, "123-00-6789", None),
        (checks.ip, "10.0.0.1", "10.0.0.1"),
        (checks.ip, "127.0.0.1", None),
        (checks.ip, "255.255.255.0", None),
        (checks.ip, "2001:db8::1", "2001:db8::1"),
        (checks.ip, "abc::def", None),
        (checks.ip, "12:30:45", None),
        (checks.phone_abroad, "+44 20 7946 0958", "+44 20 7946 0958"),
        (checks.phone_abroad, "+44 20", None),
        (checks.password, "hunter22", "hunter22"),
        (checks.password, "required", None),
        (checks.password, "${PASS1234}", None),
        (checks.password, "os.getenv1", None),
        (checks.some_digit, "sk-a1", "sk-a1"),
        (checks.some_digit, "sk-learn", None),
    ],
)
def test_by_form(which, text, kept):
    assert check(which, text) == kept


@pytest.mark.parametrize(
    ("which", "before", "found"),
    [
        (checks.unless_order, "订单号", False),
        (checks.unless_order, "order no. ", False),
        (checks.unless_order, "order\n", True),
        (checks.unless_order, "手机", True),
        (checks.mobile, "运单", False),
        (checks.mobile, "user_id: ", True),
        (checks.if_passport, "护照号", True),
        (checks.if_passport, "label ", False),
        (checks.email, "https://u:", False),
        (checks.email, "mail ", True),
        (checks.ip, "version ", False),
    ],
)
def test_by_what_stands_before(which, before, found):
    value = "10.1.2.3" if which is checks.ip else "12345678"
    assert (check(which, value, before) is not None) == found


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("我住在北京市朝阳区建国路88号", "北京市朝阳区建国路88号"),
        ("请寄到人民路12号502室", "人民路12号502室"),
        ("住在杭州市西湖区长江西街337号", "杭州市西湖区长江西街337号"),
        ("三路1号", None),
    ],
)
def test_a_sentence_that_runs_into_an_address_is_cut_off(text, kept):
    assert check(checks.address_zh, text) == kept


def test_every_candidate_passes_where_there_is_no_check():
    assert check(checks.every, "x") == "x"
    assert checks.luhn(b"79927398713")
    assert not checks.luhn(b"79927398710")
