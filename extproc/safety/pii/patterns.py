"""What personal data looks like: the shipped patterns, in re2's syntax.

Each has a trigger, which hyperscan looks for in all of the text at once: cheap, and never narrower than
the pattern. Where it is met, the pattern itself runs over some bytes before and after.

Values touch Chinese characters on both sides, which are letters to most regular expressions. So a value
ends where no ASCII letter or digit follows: an expression without a group of its own is put between two
characters that are none.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from extproc.safety.masked import TAG_LETTERS
from extproc.safety.pii import checks
from extproc.safety.pii.checks import Check, every

STRONG, USUAL, WEAK = 30, 20, 10
"""Ranks: a checksum or a prefix that nothing else has; a form; a form with a word that speaks for it."""


class Trigger(msgspec.Struct, frozen=True):
    """Where patterns are tried: an expression for hyperscan, without look-around. It is found by its
    end."""

    expression: str
    before: int = 64
    """Bytes before that end that are looked at."""
    after: int = 64


class Pattern(msgspec.Struct, frozen=True):
    type: str
    trigger: str
    expression: str
    check: Check = every
    rank: int = USUAL


MOBILE = "1(?:3[0-9]|4[014-9]|5[0-35-9]|6[2567]|7[0-8]|8[0-9]|9[0-35-9])"
"""Chinese mobile numbers begin so. Source: MIIT's numbering plan."""
HAN = r"\x{3400}-\x{9fff}"
YEAR, MONTH, DAY = "(?:18|19|20)[0-9]{2}", "(?:0?[1-9]|1[0-2])", "(?:0?[1-9]|[12][0-9]|3[01])"
MONTH_NAME = (
    "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    "Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
ZH_DIGIT = "[零〇○一二三四五六七八九十]"
DATE = (
    f"{YEAR} ?[-/.年] ?{MONTH} ?[-/.月] ?{DAY}日?|{YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])|"
    f"{DAY}[-/. ]{MONTH}[-/. ](?:{YEAR}|[0-9]{{2}})|{MONTH}[-/.]{DAY}[-/.](?:{YEAR}|[0-9]{{2}})|"
    f"{MONTH_NAME}\\.? {DAY}(?:st|nd|rd|th)?,? {YEAR}|{DAY}(?:st|nd|rd|th)?(?: of)?[ -]{MONTH_NAME}\\.?,?[ -]{YEAR}|"
    f"{YEAR}年{MONTH}月|{ZH_DIGIT}{{4}}年{ZH_DIGIT}{{1,3}}月{ZH_DIGIT}{{1,3}}日?"
)
BORN = (
    "出生日期|出生年月日?|出生于|出生在|出生时间|生日|生于|诞生于|出生|"
    r"(?i:born|birth ?day|birth[ _-]?date|date[ _-]of[ _-]birth|\bdob\b|d\.o\.b\.?)"
)
PHONE_WORDS = r"电话|手机|座机|传真|联系方式|热线|(?i:phone|mobile|cell|\btel\b|\bcall\b|\bfax\b|\bsms\b|whatsapp|text me)"
"""Words that announce a phone number."""
ROADS = "(?:大道|大街|胡同|公路|路|街|道|巷|弄|里|村|镇|乡|屯)"
SECTION = "(?:[东南西北中]?[一二三四]?段)?"
STREETS = (
    "(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Court|Ct|Place|Pl|Square|Sq|"
    "Terrace|Parkway|Pkwy|Circle|Cir|Highway|Hwy|Crescent|Way|Close|Trail|Row|Loop|Plaza|Mews|Grove)"
)
PLATE_LEFT = "(?:京|津|沪|渝|冀|豫|云|辽|黑|湘|皖|鲁|新|苏|浙|赣|鄂|桂|甘|晋|蒙|陕|吉|闽|贵|粤|青|藏|川|宁|琼|使|领)"
PEM = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
PEM_END = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"

TRIGGERS: Mapping[str, Trigger] = MappingProxyType(
    {
        "digits": Trigger(r"[0-9](?:[ .()\-]{0,2}[0-9]){6,}[^0-9]", 72, 32),
        "phone_word": Trigger(
            "(?i)电话|手机|座机|传真|联系方式|热线|phone|mobile|[^a-z](?:cell|tel|call|fax|sms|whatsapp|text me)[^a-z]",
            32, 128,
        ),
        "at": Trigger(r"[A-Za-z0-9_.%+'-]@[A-Za-z0-9.-]+\.[A-Za-z]", 400, 200),
        "at_word": Trigger(r"(?i)[\[({<] ?(?:at|dot|@) ?[\])}>]", 100, 120),
        "iban": Trigger(r"(?i)[a-z]{2}[0-9]{2}[ -]?[a-z0-9]{4}[ -]?[a-z0-9]{4}[ -]?[a-z0-9]{3}", 24, 48),
        "uscc": Trigger("[0-9A-HJ-NP-Y]{2}[0-9]{6}[0-9A-HJ-NP-Y]{10}[^0-9A-Za-z]", 24, 4),
        "ipv4": Trigger(r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]", 32, 8),
        "ipv6": Trigger(
            "(?i)[0-9a-f]:[0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4}:|"
            "[23f][0-9a-f]{1,3}(?::[0-9a-f]{1,4}){0,6}::", 48, 48,
        ),
        "userinfo": Trigger(r"://[^\s/:@]+:[^\s/@]+@", 240, 8),
        "query": Trigger(
            "(?i)[?&](?:access_token|token|api_?key|key|secret|password|passwd|sig|signature|auth)=", 32, 300
        ),
        "plate": Trigger(PLATE_LEFT + r"[A-HJ-NP-Z](?:·|•|\.| |-)?[A-HJ-NP-Z0-9]{4}", 24, 16),
        "passport": Trigger("(?i)passport|护照|通行证", 8, 64),
        "passport_cn": Trigger("[^0-9A-Za-z]E(?:[0-9]|[A-HJ-NP-Z])[0-9]{7}[^0-9A-Za-z]", 24, 4),
        "hkid": Trigger(r"[A-Z][0-9]{6}\([0-9A]\)", 16, 4),
        "born": Trigger(
            "(?i)出生|生日|生于|日生|born|birth ?day|birth[ _-]?date|date[ _-]of[ _-]birth|[^a-z]d\\.?o\\.?b[^a-z]",
            64, 120,
        ),
        "address_zh": Trigger(
            f"{ROADS}(?:(?:东|南|西|北|中)?(?:一|二|三|四)?段)?(?:[0-9]|一|二|三|四|五|六|七|八|九|十|百){{1,8}}(?:-[0-9]{{1,4}})?(?:号|弄|號)|"
            "[0-9](?:号楼|栋|幢|单元)", 160, 120,
        ),
        "address_en": Trigger(f"[a-z.h] {STREETS}[^A-Za-z]", 120, 120),
        "box": Trigger(r"P\.? ?O\.? Box [0-9]", 16, 80),
        "pem": Trigger(PEM, 100, 16_384),
        "lookalike": Trigger(f"(?i)[A-Z]\\\\{{0,4}}_[{TAG_LETTERS}]{{8}}[^A-Za-z0-9_]", 72, 4),
    }
)  # fmt: skip

LOOKALIKE = "quoted"
"""The type of what looks like one of our placeholders, as loosely as `forms.py` would take it for one."""

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "email",
        "at",
        r"[A-Za-z0-9_][A-Za-z0-9._%+'-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}",
        checks.email,
    ),
    Pattern(
        "email",
        "at_word",
        r"(?i:[A-Z0-9_][A-Z0-9._%+-]{0,63} ?[\[({<] ?(?:at|@) ?[\])}>] ?[A-Z0-9-]{1,63}"
        r"(?: ?(?:\.|[\[({<] ?(?:dot|\.) ?[\])}>]) ?[A-Z0-9-]{1,63}){1,4})",
    ),
    Pattern(
        "phone",
        "digits",
        rf"(?:\(?(?:\+|00)?86\)?[ -]{{0,2}})?{MOBILE}(?:[ -]?[0-9]){{8}}",
        checks.mobile,
        USUAL + 1,
    ),
    Pattern("phone", "digits", r"\(?0(?:10|2[0-9]|[3-9][0-9]{2})(?:[ -]|\) ?)[2-9][0-9]{2,3}[ -]?[0-9]{4}(?:-[0-9]{1,5})?"),
    Pattern("phone", "digits", r"(?:\+?86[ -]?)(?:10|2[0-9]|[3-9][0-9]{2})[ -][2-9][0-9]{2,3}[ -]?[0-9]{4}"),
    Pattern("phone", "digits", r"[48]00[ -][0-9]{3}[ -]?[0-9]{4}|[48]00[ -]?[0-9]{4}[ -][0-9]{3}"),
    Pattern("phone", "digits", r"[^0-9A-Za-z](\+[1-9](?:[ .-]?\(?[0-9]\)?){7,14})[^0-9A-Za-z]", checks.phone_abroad),
    Pattern("phone", "digits", r"00[1-9][0-9]{0,2}(?:[ -][0-9]{2,5}){2,5}", checks.phone_abroad),
    Pattern(
        "phone",
        "digits",
        r"[^0-9A-Za-z]((?:\+?1[ .-]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4})[^0-9A-Za-z]",
    ),
    Pattern(
        "phone",
        "phone_word",
        rf"(?:{PHONE_WORDS})[^0-9\n]{{0,24}}?[^0-9A-Za-z+\n](\(?[0-9](?:[ .()/-]{{0,2}}[0-9]){{6,13}})[^0-9A-Za-z]",
        rank=WEAK,
    ),
    Pattern(
        "phone",
        "phone_word",
        r"(?:电话|手机号?码?|座机|传真|热线)(\(?[0-9](?:[ .()/-]{0,2}[0-9]){6,13})[^0-9A-Za-z]",
        rank=WEAK,
    ),
    Pattern(
        "resident_id",
        "digits",
        r"[1-9][0-9]{5}[ -]?(?:18|19|20)[0-9]{2} ?(?:0[1-9]|1[0-2]) ?(?:0[1-9]|[12][0-9]|3[01])[ -]?[0-9]{3} ?[0-9Xx]",
        checks.resident_id,
        STRONG,
    ),
    Pattern(
        "resident_id",
        "digits",
        r"[1-9][0-9]{7}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}",
        checks.old_resident_id,
    ),
    Pattern("resident_id", "hkid", r"[^0-9A-Za-z]([A-Z]{1,2}[0-9]{6}\([0-9A]\))[^0-9A-Za-z]", checks.hkid, STRONG),
    Pattern("ssn", "digits", "[0-9]{3}([ -])[0-9]{2}[ -][0-9]{4}".replace("([ -])", "[ -]"), checks.ssn),
    Pattern("bank_card", "digits", "[2-69][0-9]{2}(?:[ .-]{0,2}[0-9]){10,16}", checks.bank_card, STRONG),
    Pattern("iban", "iban", "[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,32}", checks.iban, STRONG),
    Pattern("company_id", "uscc", "[0-9A-HJ-NP-RTUWXY]{2}[0-9]{6}[0-9A-HJ-NP-RTUWXY]{10}", checks.uscc, STRONG),
    Pattern("ip_address", "ipv4", r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])", checks.ip),
    Pattern("ip_address", "ipv6", r"[^0-9A-Za-z:](\[?[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}\]?)[^0-9A-Za-z:]".replace(r"\[?", "").replace(r"\]?", ""), checks.ip),
    Pattern("url_credentials", "userinfo", r"""[A-Za-z][A-Za-z0-9+.-]{1,20}://([^\s/:@"'<>]{1,64}:[^\s/@"'<>]{1,128})@[A-Za-z0-9\[]""", rank=STRONG),
    Pattern("url_credentials", "query", r"(?i)[?&](?:access_token|token|api_?key|key|secret|password|passwd|sig|signature|auth)=([A-Z0-9._~%+/=-]{8,256})", rank=USUAL),
    Pattern("plate", "plate", PLATE_LEFT + r"[A-HJ-NP-Z][·•. -]?(?:[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳]|[DF][A-HJ-NP-Z0-9][0-9]{4}|[A-CG-K][A-HJ-NP-Z0-9][0-9]{4}|[0-9]{5}[A-K])", checks.some_digit),
    Pattern("passport", "passport", r"[A-Z]{1,2}[0-9]{6,9}|E[A-HJ-NP-Z][0-9]{7}|[0-9]{2}[A-Z]{2}[0-9]{5}|[CFGHJKLMNPRTVWXYZ][0-9CFGHJKLMNPRTVWXYZ]{8}|[0-9]{9}", checks.if_passport),
    Pattern("passport", "passport_cn", "E(?:[0-9]|[A-HJ-NP-Z])[0-9]{7}", checks.unless_order),
    Pattern("birth_date", "born", rf"(?:{BORN})[^0-9\n]{{0,32}}?[^0-9A-Za-z\n]({DATE})[^0-9A-Za-z]", rank=WEAK),
    Pattern("birth_date", "born", rf"(?:出生日期|出生年月日?|出生于|出生在|出生时间|生日|生于|出生)[^0-9\n]{{0,10}}({DATE})", rank=WEAK),
    Pattern("birth_date", "born", rf"[^0-9A-Za-z]({DATE}) ?(?:出生|生人|生[^产日活效成意长态命前0-9])", rank=WEAK),
    Pattern(
        "address",
        "address_zh",
        rf"((?:[{HAN}]{{2,9}}(?:省|自治区))?(?:[{HAN}]{{2,10}}(?:市|自治州|地区|盟|区|县|旗))?(?:[{HAN}]{{1,8}}(?:区|县|旗|市))?"
        rf"(?:[{HAN}0-9]{{1,8}}(?:街道|镇|乡))?[{HAN}0-9]{{1,10}}{ROADS}{SECTION}[0-9一二三四五六七八九十百]{{1,8}}(?:-[0-9]{{1,4}})?(?:号|弄|號)"
        rf"(?:院|内)?(?:[{HAN}0-9A-Za-z]{{0,10}}?[0-9A-Za-z一二三四五六七八九十-]{{1,6}} ?(?:号楼|栋|幢|座|塔|单元|楼|层|室|房|户|号))*"
        r"(?:[0-9]{1,4}(?:-[0-9]{1,5}){1,3}|[0-9]{3,4})?)",
        checks.address_zh,
        WEAK,
    ),
    Pattern(
        "address",
        "address_zh",
        rf"([{HAN}]{{2,9}}(?:省|市|区|县)[{HAN}0-9]{{1,16}}?(?:[0-9A-Za-z一二三四五六七八九十-]{{1,5}} ?(?:号楼|栋|幢|座|单元|楼|层|室|房|户|号))+)",
        checks.address_zh,
        WEAK,
    ),
    Pattern(
        "address",
        "address_en",
        r"(?:[0-9]{1,6}[A-Za-z]?(?:-[0-9]{1,4})?|One|Two),? (?:(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\.? )?"
        rf"(?:(?:[A-Z][A-Za-z'.-]{{0,20}}|[0-9]{{1,3}}(?:st|nd|rd|th)) ){{1,4}}{STREETS}\.?"
        r"(?: (?:N|S|E|W|NE|NW|SE|SW)\b)?(?:,? ?(?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Flat|Room|#)\.? ?[0-9A-Za-z-]{1,6})?"
        r"(?:, [A-Z][A-Za-z.'-]{1,20}(?: [A-Z][A-Za-z.'-]{1,20}){0,3})?"
        r"(?:,? [A-Z]{2})?(?:,? (?:[0-9]{5}(?:-[0-9]{4})?|[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}))?",
    ),
    Pattern(
        "address",
        "box",
        r"P\.? ?O\.? Box [0-9]{1,6}(?:, [A-Z][A-Za-z.'-]{1,20}(?: [A-Z][A-Za-z.'-]{1,20}){0,3})?"
        r"(?:,? [A-Z]{2})?(?:,? [0-9]{5}(?:-[0-9]{4})?)?",
    ),
    Pattern("private_key", "pem", rf"({PEM}(?:[^-]|-[^-]|--[^-])*?{PEM_END})", rank=STRONG + 1),
    Pattern("private_key", "pem", rf"({PEM}(?:\s|\\n|\\r)*(?:[A-Za-z0-9+/=]{{16,}}(?:\s|\\n|\\r)*)+)", rank=STRONG),
    Pattern(LOOKALIKE, "lookalike", rf"[^A-Za-z0-9_]?(<? ?(?i:[A-Z][A-Z_\\]{{0,40}}_[{TAG_LETTERS}]{{8}}) ?>?)[^A-Za-z0-9_]", rank=STRONG + 5),
)  # fmt: skip
