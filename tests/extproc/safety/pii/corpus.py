# ruff: noqa: RUF001 - Chinese has commas of its own
"""Personal data made up, in sentences, and what only looks like it: the same for the same seed.

Nothing here is shared with the patterns it measures: values are made by the rules of whoever issues them,
with check digits worked out here.
"""

import random
import string
import uuid
from typing import NamedTuple


class Sample(NamedTuple):
    text: str
    type: str
    """Empty: there is nothing in it."""
    value: str = ""
    form: str = ""


def take(rng, count, letters=string.digits):
    return "".join(rng.choice(letters) for _ in range(count))


def wide(text):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def seamed(rng, text):
    """With marks inside that nobody sees."""
    at = sorted(rng.sample(range(1, len(text)), 2))
    mark = rng.choice("\u200b\u200c\u2060\ufeff\u202c")
    return text[: at[0]] + mark + text[at[0] : at[1]] + mark + text[at[1] :]


def with_luhn(digits):
    total = 0
    for index, digit in enumerate(reversed(digits)):
        n = int(digit) * (2 if index % 2 == 0 else 1)
        total += n - 9 if n > 9 else n
    return digits + str(-total % 10)


CARDS = [
    ("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("62", 16), ("62", 19),
    ("6222", 18), ("6011", 16), ("3530", 16), ("36", 14),
]  # fmt: skip


def card(rng):
    prefix, length = rng.choice(CARDS)
    digits = with_luhn(prefix + take(rng, length - len(prefix) - 1))
    form = rng.choice(["bare", "spaced", "dashed", "wide", "dotted"])
    if form in ("spaced", "dashed", "dotted"):
        sizes = [4, 6, 5] if length == 15 else [4] * 5
        parts, at = [], 0
        for size in sizes:
            parts.append(digits[at : at + size])
            at += size
        digits = {"spaced": " ", "dashed": "-", "dotted": "."}[form].join(filter(None, parts))
    return (wide(digits) if form == "wide" else digits), form


def date_parts(rng):
    return rng.randint(1940, 2015), rng.randint(1, 12), rng.randint(1, 28)


def resident_id(rng):
    area = rng.choice(
        ["110105", "310115", "440305", "510104", "330106", "420111", "610113", "230103"]
    )
    y, m, d = date_parts(rng)
    form = rng.choice(["bare", "old", "spaced", "wide", "small x", "unseen"])
    if form == "old":
        return f"{area}{y % 100:02}{m:02}{d:02}{take(rng, 3)}", form
    body = f"{area}{y}{m:02}{d:02}{take(rng, 3)}"
    total = sum(int(c) * pow(2, 17 - i, 11) for i, c in enumerate(body))
    mark = (12 - total % 11) % 11
    text = body + ("X" if mark == 10 else str(mark))
    if form == "spaced":
        text = f"{text[:6]} {text[6:14]} {text[14:]}"
    if form == "small x":
        text = text.lower()
    if form == "unseen":
        text = seamed(rng, text)
    return (wide(text) if form == "wide" else text), form


def phone(rng):
    form = rng.choice(
        ["cn", "cn dashed", "cn spaced", "cn +86", "cn 0086", "cn wide", "cn unseen", "cn landline", "us", "us dotted",
         "us bracket", "us +1", "uk", "de", "fr", "jp", "compact", "cn (+86)"]
    )  # fmt: skip
    head = rng.choice(
        [
            "130",
            "138",
            "139",
            "150",
            "158",
            "170",
            "176",
            "182",
            "186",
            "189",
            "191",
            "198",
            "147",
            "166",
        ]
    )
    a, b = take(rng, 4), take(rng, 4)
    us = (rng.choice("23456789") + take(rng, 2), rng.choice("23456789") + take(rng, 2), b)
    made = {
        "cn": f"{head}{a}{b}",
        "cn dashed": f"{head}-{a}-{b}",
        "cn spaced": f"{head} {a} {b}",
        "cn +86": f"+86 {head}{a}{b}",
        "cn (+86)": f"(+86){head}{a}{b}",
        "cn 0086": f"0086-{head}{a}{b}",
        "cn wide": wide(f"{head}{a}{b}"),
        "cn unseen": seamed(rng, f"{head}{a}{b}"),
        "cn landline": f"0{rng.choice(['10', '21', '755', '571'])}-{rng.choice('2345678')}{take(rng, 3)}{b}",
        "us": "-".join(us),
        "us dotted": ".".join(us),
        "us bracket": f"({us[0]}) {us[1]}-{us[2]}",
        "us +1": f"+1 {us[0]} {us[1]} {us[2]}",
        "uk": f"+44 20 7{take(rng, 3)} {b}",
        "de": f"+49 30 {take(rng, 3)} {b}",
        "fr": f"+33 6 {take(rng, 2)} {take(rng, 2)} {take(rng, 2)} {take(rng, 2)}",
        "jp": f"+81-90-{a}-{b}",
        "compact": f"+4479{take(rng, 8)}",
    }
    return made[form], form


def email(rng):
    who = rng.choice(["john", "li.wei", "a_b", "x+tag", "zhang3", "o'neil", "Mary-Jane", "9527"])
    where = rng.choice(
        ["example.com", "mail.example.co.uk", "qq.com", "uni-a.edu.cn", "x1.io", "EXAMPLE.ORG"]
    )
    form = rng.choice(["usual", "usual", "usual", "wide", "unseen", "at"])
    text = f"{who}@{where}"
    if form == "at":
        return f"{who.replace(chr(39), '')} [at] {where.replace('.', ' [dot] ')}", form
    return (wide(text) if form == "wide" else seamed(rng, text) if form == "unseen" else text), form


BANKS = {"DE": 18, "GB": 0, "FR": 23, "NL": 0, "ES": 20, "CH": 17, "IT": 0}


def iban(rng):
    country = rng.choice(list(BANKS))
    body = {
        "GB": lambda: "NWBK" + take(rng, 14),
        "NL": lambda: "ABNA" + take(rng, 10),
        "IT": lambda: "X" + take(rng, 22),
    }
    rest = body[country]() if country in body else take(rng, BANKS[country])
    number = "".join(
        str(string.digits.find(c)) if c.isdigit() else str(ord(c) - 55)
        for c in rest + country + "00"
    )
    text = f"{country}{98 - int(number) % 97:02}{rest}"
    form = rng.choice(["bare", "spaced", "lower", "wide"])
    if form == "spaced":
        text = " ".join(text[i : i + 4] for i in range(0, len(text), 4))
    return (wide(text) if form == "wide" else text.lower() if form == "lower" else text), form


def company_id(rng):
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = "91" + rng.choice(["110105", "310115", "440300"]) + "MA" + take(rng, 7, letters)
    total = sum(letters.index(c) * pow(3, i) for i, c in enumerate(body))
    return body + letters[(31 - total % 31) % 31], "usual"


def passport(rng):
    form = rng.choice(["cn E", "cn EA", "cn G", "us", "us new", "uk"])
    made = {
        "cn E": f"E{take(rng, 8)}",
        "cn EA": f"E{rng.choice('ABCDFGH')}{take(rng, 7)}",
        "cn G": f"G{take(rng, 8)}",
        "us": take(rng, 9),
        "us new": f"{rng.choice('ABC')}{take(rng, 8)}",
        "uk": take(rng, 9),
    }
    return made[form], form


def plate(rng):
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    place = rng.choice("京沪粤苏浙川鲁渝") + rng.choice(letters[:9])
    form = rng.choice(["usual", "dotted", "new energy", "new energy truck", "trailer", "spaced"])
    some = take(rng, 4, letters + string.digits) + rng.choice(string.digits)
    made = {
        "usual": place + some,
        "dotted": f"{place}·{some}",
        "spaced": f"{place} {some}",
        "new energy": f"{place}{rng.choice('DF')}{rng.choice(letters)}{take(rng, 4)}",
        "new energy truck": f"{place}{take(rng, 5)}{rng.choice('DF')}",
        "trailer": f"{place}{take(rng, 4)}挂",
    }
    return made[form], form


def ip_address(rng):
    form = rng.choice(["v4", "v4", "v6", "v6 short"])
    if form == "v4":
        first = rng.choice([10, 172, 192, 8, 47, 203])
        return ".".join(str(n) for n in (first, *(rng.randint(0, 255) for _ in range(3)))), form
    groups = [take(rng, 4, "123456789abcdef") for _ in range(6)]
    if form == "v6":
        return "2001:0db8:" + ":".join(groups), form
    return rng.choice(["2001:db8::", "fe80::", "2400:3200::"]) + ":".join(groups[:2]), form


def url_credentials(rng):
    user, secret = (
        rng.choice(["admin", "bob", "root"]),
        take(rng, 9, string.ascii_letters + string.digits),
    )
    form = rng.choice(["https", "postgres", "redis", "query"])
    if form == "query":
        return secret + "Q7", form
    return f"{user}:{secret}", form


def url_of(rng, value, form):
    return {
        "https": f"https://{value}@host.example.com/path",
        "postgres": f"postgres://{value}@10-0-0-5.db:5432/x",
        "redis": f"redis://{value}@cache:6379/0",
        "query": f"https://host.example.com/x?a=1&access_token={value}",
    }[form]


def api_key(rng):
    letters = string.ascii_letters + string.digits
    some = take(rng, 1, string.digits) + take(rng, 60, letters)
    made = {
        "openai": f"sk-proj-{some[:40]}",
        "anthropic": f"sk-ant-api03-{some[:50]}",
        "aws": "AKIA" + take(rng, 16, string.ascii_uppercase + string.digits),
        "github": f"ghp_{some[:36]}",
        "github pat": f"github_pat_{some[:22]}_{some[:40]}",
        "gitlab": f"glpat-{some[:20]}",
        "slack": f"xoxb-{take(rng, 12)}-{some[:24]}",
        "stripe": f"sk_live_{some[:24]}",
        "google": f"AIza{some[:35]}",
        "jwt": f"eyJhbGciOiJIUzI1NiJ9.eyJ{some[:30]}.{some[30:60]}",
        "hf": "hf_" + take(rng, 34, letters),
        "npm": f"npm_{some[:36]}",
        "aliyun": f"LTAI{some[:20]}",
        "sendgrid": f"SG.{some[:22]}.{some[:43]}",
    }
    form = rng.choice([*made, "password"])
    return (
        (take(rng, 5, string.ascii_letters) + take(rng, 5), form)
        if form == "password"
        else (made[form], form)
    )


def private_key(rng):
    kind = rng.choice(["RSA ", "EC ", "OPENSSH ", ""])
    lines = "\n".join(
        take(rng, 64, string.ascii_letters + string.digits + "+/")
        for _ in range(rng.randint(2, 12))
    )
    return (
        f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----",
        kind.strip() or "pkcs8",
    )


MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
]  # fmt: skip


def birth_date(rng):
    y, m, d = date_parts(rng)
    form = rng.choice(["zh", "zh dash", "iso", "us", "long", "day first", "eight"])
    made = {
        "zh": f"{y}年{m}月{d}日",
        "zh dash": f"{y}-{m:02}-{d:02}",
        "iso": f"{y}-{m:02}-{d:02}",
        "us": f"{m:02}/{d:02}/{y}",
        "long": f"{MONTHS[m - 1]} {d}, {y}",
        "day first": f"{d} {MONTHS[m - 1][:3]} {y}",
        "eight": f"{y}{m:02}{d:02}",
    }
    return made[form], form


def address(rng):
    form = rng.choice(
        ["zh full", "zh city", "zh road", "zh block", "us", "us flat", "us bare", "uk", "box"]
    )
    n, m = rng.randint(1, 999), rng.randint(101, 2905)
    city = rng.choice(
        [
            ("广东省", "深圳市", "南山区"),
            ("", "上海市", "浦东新区"),
            ("浙江省", "杭州市", "西湖区"),
            ("", "北京市", "海淀区"),
        ]
    )
    road = rng.choice(
        ["中山", "人民", "科技南", "文三", "建国门外", "长江西", "学院"]
    ) + rng.choice(["路", "大道", "街"])
    street = (
        rng.choice(["Maple", "North Oak", "Elm", "Martin Luther King", "5th", "Old Mill"])
        + " "
        + rng.choice(
            ["Street", "St", "Avenue", "Ave", "Road", "Rd", "Drive", "Lane", "Blvd", "Court"]
        )
    )
    made = {
        "zh full": f"{''.join(city)}{road}{n}号{rng.randint(1, 30)}号楼{rng.randint(1, 6)}单元{m}室",
        "zh city": f"{city[1]}{city[2]}{road}{n}号",
        "zh road": f"{road}{n}号{m}室",
        "zh block": f"{city[1]}{city[2]}幸福小区{rng.randint(1, 30)}栋{m}室",
        "us": f"{n} {street}, {rng.choice(['Springfield, IL', 'Austin, TX', 'San Jose, CA'])} {take(rng, 5)}",
        "us flat": f"{n} {street}, Apt {rng.randint(1, 99)}B, Portland, OR {take(rng, 5)}",
        "us bare": f"{n} {street}",
        "uk": f"{n} {street}, London SW1A {rng.randint(1, 9)}AA",
        "box": f"P.O. Box {n}, Reno, NV {take(rng, 5)}",
    }
    return made[form], form


MAKERS = {
    "email": (email, 110), "phone": (phone, 180), "resident_id": (resident_id, 100), "bank_card": (card, 120),
    "iban": (iban, 70), "company_id": (company_id, 40), "passport": (passport, 60), "plate": (plate, 80),
    "ip_address": (ip_address, 80), "url_credentials": (url_credentials, 50), "api_key": (api_key, 120),
    "private_key": (private_key, 20), "birth_date": (birth_date, 90), "address": (address, 120),
}  # fmt: skip

PLAIN_FRAMES = [
    "我的{zh}{v}，请记录。", "{zh}{v}已绑定", "请联系{v}处理这件事", "客户资料：{v}；其余不变", "帮我把「{v}」发给他",
    "My {en} is {v}.", "Please update {v} in the file, thanks", "({v})", "- {v}\n- next line", "note: {v}, then go on",
    '{{"value": "{v}"}}', "a | {v} | b", "他说{v}是对的", "{en}: {v}",
    "张三,男,{v},备注无", "id,name,x\n7,Ann Lee,{v},yes\n", "<td>{v}</td>", "2024-05-01 10:00:00 INFO user {v} logged in",
    "第1条 {v} 第2条", "**{v}**", "1. {v} 2. 其他", '"{v}","x"',
]  # fmt: skip
FRAMES = {
    "passport": ["护照号{v}，有效期十年", "我的护照号码是{v}。", "Passport No. {v} was issued in May", "passport number: {v}", "护照:{v}"],
    "birth_date": ["出生日期：{v}，男", "他{v}出生，现居上海", "生日是{v}。", "Date of birth: {v}.", "She was born on {v} in Leeds.", "DOB {v}; male", "出生于{v}的客户"],
    "address": ["地址：{v}，请派送", "我住在{v}，下午在家", "请寄到{v}。", "I live at {v}.", "Ship it to {v}, please", "Address: {v}\nThanks"],
    "plate": ["车牌{v}停在门口", "我的车是{v}。", "plate {v} was seen", "请给{v}放行", "车辆 {v} 已登记"],
}  # fmt: skip
ZH = {
    "email": "邮箱",
    "phone": "手机号",
    "resident_id": "身份证",
    "bank_card": "卡号",
    "iban": "账户",
    "company_id": "统一社会信用代码",
}
EN = {
    "email": "email",
    "phone": "phone",
    "resident_id": "national number",
    "bank_card": "card",
    "iban": "account",
}


def positives(seed=7):
    rng = random.Random(seed)
    for kind, (make, count) in MAKERS.items():
        for _ in range(count):
            value, form = make(rng)
            yield Sample(frame(rng, kind, value, form), kind, value, form)


def frame(rng, kind, value, form):
    shown = value
    if kind == "url_credentials":
        shown = url_of(rng, value, form)
    if form == "password":
        return rng.choice(
            [
                "password: {v}",
                "密码是{v}，别外传",
                'api_key = "{v}"',
                "我的密码：{v}",
                "PASSWORD={v}\n",
            ]
        ).format(v=value)
    pattern = rng.choice(FRAMES.get(kind, PLAIN_FRAMES))
    return pattern.format(v=shown, zh=ZH.get(kind, ""), en=EN.get(kind, "data"))


def negatives(seed=11, count=660):
    """What looks like personal data and is none."""
    rng = random.Random(seed)
    makers = [
        lambda: f"订单号{take(rng, 18)}已发货",
        lambda: f"order no. {rng.choice('123456789')}{take(rng, 15)} shipped",
        lambda: f"订单编号：{rng.randint(2019, 2026)}{take(rng, 14)}",
        lambda: f"tracking SF{take(rng, 13)}",
        lambda: f"version {rng.randint(1, 30)}.{rng.randint(0, 20)}.{rng.randint(0, 9)}.{rng.randint(0, 99)} is out",
        lambda: f"chrome/{rng.randint(90, 140)}.0.{rng.randint(1000, 7000)}.{rng.randint(1, 200)}",
        lambda: f"值{take(rng, 16)}与{take(rng, 12)}",
        lambda: f"[{take(rng, 10)}, {take(rng, 13)}, {take(rng, 19)}]",
        lambda: f"row {take(rng, 8)} {take(rng, 8)} {take(rng, 8)}",
        lambda: f"uint64 {rng.randint(10**18, 10**19)} overflowed",
        lambda: f"pip install torch=={rng.randint(1, 3)}.{rng.randint(0, 9)}.{rng.randint(0, 9)}",
        lambda: f"sha256 {take(rng, 64, '0123456789abcdef')}",
        lambda: f"commit {take(rng, 40, '0123456789abcdef')} fixes it",
        lambda: f"md5={take(rng, 32, '0123456789abcdef')}",
        lambda: f"ts={rng.randint(1_500_000_000, 1_900_000_000)}",
        lambda: f"at {rng.randint(1_500_000_000_000, 1_900_000_000_000)} ms",
        lambda: f"{rng.randint(2000, 2030)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:07.{take(rng, 6)}Z",
        lambda: f"会议定在{rng.randint(2020, 2030)}年{rng.randint(1, 12)}月{rng.randint(1, 28)}日",
        lambda: f"Published {rng.choice(MONTHS)} {rng.randint(1, 28)}, {rng.randint(2000, 2026)}",
        lambda: f"id {uuid.UUID(int=rng.getrandbits(128), version=4)}",
        lambda: f"{rng.randint(10, 99)}.{take(rng, 12)} * {take(rng, 8)} = {take(rng, 16)}.{take(rng, 3)}",
        lambda: f"pi is 3.14159265358979{take(rng, 12)}",
        lambda: f"x = {rng.randint(1, 9)}e{rng.randint(3, 9)} + {take(rng, 7)}",
        lambda: f"价格¥{rng.randint(100, 99999)}.{take(rng, 2)}，共{rng.randint(10, 9999)}件",
        lambda: f"total ${rng.randint(1, 999)},{take(rng, 3)},{take(rng, 3)}.00",
        lambda: f"std::vector<int>::iterator a::b(c::d::{take(rng, 4, 'abcdef')})",
        lambda: f"@app.route('/x') def f(self): return self.x@y  # {take(rng, 4)}",
        lambda: f"12:{rng.randint(10, 59)}:{rng.randint(10, 59)} to 13:{rng.randint(10, 59)}:00",
        lambda: f"MAC {':'.join(take(rng, 2, '0123456789abcdef') for _ in range(6))}",
        lambda: f"ISBN 978-{rng.randint(0, 9)}-{take(rng, 3)}-{take(rng, 5)}-{rng.randint(0, 9)}",
        lambda: f"listening on 127.0.0.1:{rng.randint(1024, 65535)} and 0.0.0.0",
        lambda: f"第{rng.randint(1, 300)}号文件第{rng.randint(1, 30)}条规定，{rng.randint(2, 9)}路公交改线",
        lambda: f"the set password: required, token: string, secret: {rng.choice(['changeme', 'required', 'optional'])}",
        lambda: f"export API_KEY=${{MY_KEY_{take(rng, 3)}}}",
        lambda: f"matrix [{', '.join(str(rng.randint(100, 999)) for _ in range(9))}]",
        lambda: f"{rng.randint(1000, 9999)} {rng.randint(1000, 9999)} {rng.randint(1000, 9999)} rows, cols, cells",
        lambda: f"IMEI {rng.choice('3568')}{take(rng, 14)}",
        lambda: f"the sk-learn-contrib-package-index and sk-something-or-other-{rng.choice(['long', 'wide'])}",
        lambda: f"user@{rng.choice(['localhost', 'host'])} $ ls -la | grep {take(rng, 6)}",
        lambda: f"batch {take(rng, 11)} of line {rng.randint(1, 9)}",
        lambda: f"流水号：1{rng.choice('3589')}{take(rng, 9)}，请核对",
        lambda: f"Series 2 St. John's {rng.randint(2, 40)} wins; May {rng.randint(10, 28)} Way to go",
        lambda: f"新品A{take(rng, 3)}上市，京东价{take(rng, 4)}元",
        lambda: f"生产日期：{rng.randint(2020, 2026)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}，保质期{rng.randint(6, 36)}个月",
    ]  # fmt: skip
    for index in range(count):
        yield Sample(makers[index % len(makers)](), "")
