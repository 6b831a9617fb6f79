"""Whether what looks like a value is one: checksums, ranges, and the words before it.

A check gets the bytes of a whole text (UTF-8) and where the candidate stands, and returns where the value
stands, which may be shorter, or None.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType

import re2

Span = tuple[int, int]
Check = Callable[[bytes, int, int], Span | None]

BEFORE = 48
"""Bytes before a candidate in which a word may speak for it or against it: 16 Chinese characters."""
NOT_DIGITS = re.compile(rb"[^0-9]+")

ORDERS = re2.compile(
    "(?i)(?:单号|流水|运单|快递|编号|序列号|发票|工单|货号|order|tracking|invoice|ticket|serial|"
    r"\bref\b|reference|transaction|shipment|batch|sku|timestamp|build|commit|revision|request|trace|"
    r"span|\bs/n|\bid\b|_id\b|imei|isbn|parcel|version|release)[^0-9\n]{0,12}$"
)
"""Words that name a number for what it is, in front of one."""
GOODS = re2.compile(
    "(?i)(?:单号|流水号?|运单|快递|编号|序列号|发票号?码?|货号|order (?:no\\.?|number|id)|tracking|invoice|"
    r"serial|\bref\b|reference|transaction|shipment|batch|sku|timestamp|imei|isbn|parcel)[^0-9\n]{0,12}$"
)


def every(data: bytes, start: int, end: int) -> Span | None:  # noqa: ARG001 - a check's form
    return start, end


def before(data: bytes, start: int) -> bytes:
    """Return what stands before, on the same line."""
    return data[max(0, start - BEFORE) : start].rpartition(b"\n")[2]


def digits_of(raw: bytes) -> bytes:
    return NOT_DIGITS.sub(b"", raw)


def unless_order(data: bytes, start: int, end: int) -> Span | None:
    """Take it, unless a word says that it is a number of another kind."""
    return None if ORDERS.search(before(data, start)) else (start, end)


def mobile(data: bytes, start: int, end: int) -> Span | None:
    """Take it, unless a word says that it is a number of goods: people are often known by their phone
    number, so an id may be one."""
    return None if GOODS.search(before(data, start)) else (start, end)


CALLING_CODES = re.compile(
    rb"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-689][0-9]|3[578][0-9]|"
    rb"42[0-9]|5[09][0-9]|6[7-9][0-9]|8[0578][0-9]|9[679][0-9]"
)
"""Of countries. Source: ITU-T E.164."""


def phone_abroad(data: bytes, start: int, end: int) -> Span | None:
    if data[start : start + 1] == b"0" and data[start - 2 : start - 1].isdigit():
        return None  # in the middle of a longer number
    digits = digits_of(data[start:end]).removeprefix(b"00")
    return (start, end) if 8 <= len(digits) <= 15 and CALLING_CODES.match(digits) else None


PROVINCES = frozenset(
    b"11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 "
    b"71 81 82 83 91".split()
)
"""Source: GB/T 2260."""
ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
ID_MARKS = b"10X98765432"
"""Source: GB 11643."""


def resident_id(data: bytes, start: int, end: int) -> Span | None:
    """Check an 18-digit Chinese id: province, date of birth, check character."""
    raw = data[start:end].replace(b" ", b"").replace(b"-", b"").upper()
    if raw[:2] not in PROVINCES or not is_date(raw[6:10], raw[10:12], raw[12:14]):
        return None
    total = sum((digit - 48) * weight for digit, weight in zip(raw, ID_WEIGHTS, strict=False))
    return (start, end) if ID_MARKS[total % 11] == raw[17] else None


def old_resident_id(data: bytes, start: int, end: int) -> Span | None:
    """Check a 15-digit one: it has no check digit, and its year two."""
    raw = data[start:end]
    if raw[:2] not in PROVINCES or not is_date(b"19" + raw[6:8], raw[8:10], raw[10:12]):
        return None
    return unless_order(data, start, end)


def is_date(year: bytes, month: bytes, day: bytes) -> bool:
    try:
        return 1890 <= date(int(year), int(month), int(day)).year <= 2100
    except ValueError:
        return False


HKID_WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2)


def hkid(data: bytes, start: int, end: int) -> Span | None:
    """Check an id of Hong Kong: its letters count 10 to 35, a blank 36."""
    raw = data[start:end].upper().replace(b"(", b"").replace(b")", b"").rjust(9)
    values = [36 if c == 32 else c - 55 if c > 64 else c - 48 for c in raw]
    total = sum(v * w for v, w in zip(values, HKID_WEIGHTS, strict=False)) + values[8]
    return (start, end) if total % 11 == 0 else None


def ssn(data: bytes, start: int, end: int) -> Span | None:
    """Check a US social security number: areas 000, 666 and 9xx were never given."""
    area, group, serial = re.split(rb"[- ]", data[start:end])
    if area in (b"000", b"666") or area[:1] == b"9" or group == b"00" or serial == b"0000":
        return None
    return unless_order(data, start, end)


def luhn(digits: bytes) -> bool:
    odd = sum(digit - 48 for digit in digits[-1::-2])
    even = sum(DOUBLED[digit - 48] for digit in digits[-2::-2])
    return (odd + even) % 10 == 0


DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
ISSUERS = re.compile(
    rb"4[0-9]{12}(?:[0-9]{3})?|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)"
    rb"[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|35(?:2[89]|[3-8][0-9])[0-9]{12}|"
    rb"6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}|62[0-9]{14,17}|(?:9558|60[0-9]{2}|68[0-9]{2})[0-9]{12,15}"
)
"""Visa, Mastercard, American Express, Diners, JCB, Discover, UnionPay, and older Chinese ones, with
their lengths. Source: ISO/IEC 7812 and what the issuers say."""
GROUP = re.compile(rb"[0-9]+")


def bank_card(data: bytes, start: int, end: int) -> Span | None:
    """Find the longest card number that begins here and ends where a group of digits does: what follows
    may be its check code, or its date."""
    groups = [match.span() for match in GROUP.finditer(data, start, end)]
    short = (number for number, (left, right) in enumerate(groups) if right - left < 3)
    groups = groups[: next(short, len(groups)) + 1]  # one of one or two digits can only be the last
    while groups:
        digits = digits_of(data[start : groups[-1][1]])
        if ISSUERS.fullmatch(digits) and luhn(digits) and len(set(digits)) > 1:
            found = (start, groups[-1][1])
            return unless_order(data, *found) if len(groups) == 1 else found
        groups.pop()
    return None


IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 "
    "EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 "
    "IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 "
    "NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 "
    "TN24 TR26 UA29 VA22 VG24 XK20"
)
IBAN_LENGTHS: Mapping[bytes, int] = MappingProxyType(
    {each[:2].encode(): int(each[2:]) for each in IBANS.split()}
)
"""Source: the IBAN registry of SWIFT."""


def iban(data: bytes, start: int, end: int) -> Span | None:
    """Check as many characters as the country has: words may follow that look like more."""
    raw = data[start:end]
    wanted = IBAN_LENGTHS.get(raw[:2].upper(), 0)
    kept = [index for index, char in enumerate(raw) if char not in b" -"]
    if not wanted or len(kept) < wanted:
        return None
    last = start + kept[wanted - 1] + 1
    if data[last : last + 1].isalnum():
        return None
    text = bytes(raw[index] for index in kept[:wanted]).decode().upper()
    number = "".join(str(int(char, 36)) for char in text[4:] + text[:4])
    return (start, last) if int(number) % 97 == 1 else None


USCC_LETTERS = b"0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS = tuple(pow(3, index, 31) for index in range(17))
"""Source: GB 32100."""


def uscc(data: bytes, start: int, end: int) -> Span | None:
    raw = data[start:end].upper()
    values = [USCC_LETTERS.find(char) for char in raw]
    if min(values) < 0 or raw[:1] == b"0" or raw[2:4] not in PROVINCES:
        return None
    total = sum(v * w for v, w in zip(values, USCC_WEIGHTS, strict=False))
    return unless_order(data, start, end) if (31 - total % 31) % 31 == values[17] else None


USERINFO = re2.compile(r"://[^\s/@]*$")


def email(data: bytes, start: int, end: int) -> Span | None:
    """Take it, unless it is a password and a host in a URL."""
    return None if USERINFO.search(before(data, start)) else (start, end)


VERSIONS = re2.compile(r"(?i)(?:version|ver\.?|release|firmware|版本号?)[^0-9\n]{0,6}$")


def ip(data: bytes, start: int, end: int) -> Span | None:
    """Check an address. Those that are the same on every machine say nothing of anybody; names in
    code (`a::b`) are addresses by their form only."""
    try:
        address = ipaddress.ip_address(data[start:end].decode("ascii", "replace"))
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return None
    if address.version == 6:
        known = address.is_link_local or address.packed[0] in (0x20, 0x24, 0x26, 0x2A, 0xFC, 0xFD)
        return (start, end) if known or address.packed[0] >> 4 in (2, 3) else None
    around = data[start - 1 : start] + data[end : end + 1]
    if b"." in around[:1] or (around[-1:] == b"." and data[end + 1 : end + 2].isdigit()):
        return None
    if data[start:end] == b"255.255.255.255" or data[start:end].startswith(b"255."):
        return None
    return None if VERSIONS.search(before(data, start)) else (start, end)


def some_digit(data: bytes, start: int, end: int) -> Span | None:
    """Take a key or a plate that has a digit; without one it is a word."""
    return (start, end) if any(48 <= char <= 57 for char in data[start:end]) else None


def password(data: bytes, start: int, end: int) -> Span | None:
    """Take what is a password and no name of one: letters and digits, no code."""
    raw = data[start:end]
    if raw[:1] in b"$<{(%" or b"(" in raw or b"env" in raw.lower():
        return None
    has_letter = any(char > 64 for char in raw)
    return (start, end) if has_letter and some_digit(data, start, end) else None


PASSPORTS = re2.compile(r"(?i)(?:passport|护照|通行证)[^\n]{0,30}$")


def if_passport(data: bytes, start: int, end: int) -> Span | None:
    """Take it only if a passport is spoken of."""
    found = PASSPORTS.search(before(data, start)) and some_digit(data, start, end)
    return (start, end) if found else None


LIVES = re.compile(
    "(?:住在|家住|住址|地址|位于|寄到|送到|寄往|送往|前往|收货|发往|[是为在到于至从])[:\uff1a\\s]{0,2}"
)
CITIES = re.compile(
    "(?:北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|"
    "贵州|云南|陕西|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门)(?!.?[路街道巷弄])"
)
AHEAD = 12
"""Characters in which a sentence may run into an address."""


def address_zh(data: bytes, start: int, end: int) -> Span | None:
    """Cut off what leads to an address: nothing stands between words of Chinese."""
    head = data[start:end].decode("utf-8", "replace")[: AHEAD + 4]
    if (city := CITIES.search(head)) and city.start() < AHEAD:
        cut = city.start()
    else:
        cut = max((match.end() for match in LIVES.finditer(head[:AHEAD])), default=0)
    begin = start + len(head[:cut].encode())
    return (begin, end) if end - begin >= 12 else None
