"""Personal data that tests send where policy has it masked or refused, and the search for it.

Long and like nothing else, so that whatever is found is a leak. What a test sends to somebody who may see
it (a tenant without rules, a type that is only tagged) must be another value, of `KNOWN`.
"""

import base64
import html
import json
import re
import threading
from itertools import product
from urllib.parse import quote, quote_plus

import hyperscan

LEAST_BYTES = 6
"""Shorter forms are found everywhere."""

MAIL = "quill.ardenwick-7f3k9@kestrel-quarry.example"
STRANGER = "basil.thornquist-2m8x4@heron-mill.example"
"""Whom only the engine knows: his address is not to get to the client, nor into any file."""
PHONE = "139 7461 2085"
PHONES = tuple(f"1397461209{number}" for number in range(8))
RESIDENT = "110105198307148368"
CARD = "4929 7381 6042 1579"
API_KEY = "AKIA7QZP4WMK9XRT2VHB"
NAME = "Ottoline Wexmoor"

KEYS = {"key of acme": "sk-headgate-acme", "key of globex": "sk-headgate-globex"}
"""What clients prove with who they are: it is nobody else's business."""

PLANTED = {
    "mail": MAIL,
    "stranger": STRANGER,
    "phone": PHONE,
    **{f"phone {number}": phone for number, phone in enumerate(PHONES)},
    "resident id": RESIDENT,
    "card": CARD,
    "api key": API_KEY,
    "name": NAME,
    **KEYS,
}

KNOWN = {"mail": "ann.lee@example.com", "iban": "GB29 NWBK 6016 1331 9268 19"}
"""Not looked for."""


def fold(value):
    """Without what people put between letters and digits."""
    return re.sub(r"[\s().·-]", "", value)


def texts(value):
    """The value as a text, in every spelling that a program gives it; all are found in either case."""
    plain = {value, fold(value), *value.splitlines()[1:-1]}  # of a private key, each line alone
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    escaped |= {json.dumps(each)[1:-1] for each in escaped}
    escaped |= {quote(value), quote(value, safe=""), quote_plus(value), html.escape(value)}
    return plain | escaped | {ascii(value)[1:-1]}


def packings(value):
    """In base64, with what comes before it of any length; both alphabets."""
    raw = value.encode()
    for start in range(3):
        # The characters that depend on nothing before or behind.
        packed = base64.b64encode(b"\0" * start + raw).decode().rstrip("=")
        packed = packed[(0, 2, 3)[start] : len(packed) - 1]
        yield from {packed, packed.translate({43: "-", 47: "_"})}


def forms(value):
    """Bytes -> whether case matters in them."""
    found = {form.encode(): False for form in texts(value)}
    for text in {value, fold(value)}:
        for raw in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be")):
            found |= {raw: False, raw.hex().encode(): False}
        found |= {packed.encode(): True for packed in packings(text)}
    return {form: exact for form, exact in found.items() if len(form) >= LEAST_BYTES}


class Finder:
    """All forms of all values in one pass: a gigabyte takes a second or less. For any thread."""

    def __init__(self, values):
        self.names = tuple(values)
        every = {(index, form): exact for index, name in enumerate(values)
                 for form, exact in forms(values[name]).items()}  # fmt: skip
        self._forms = [(index, len(form)) for index, form in every]
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        once = hyperscan.HS_FLAG_SINGLEMATCH
        self._database.compile(
            expressions=[b"".join(b"\\x%02x" % byte for byte in form) for _, form in every],
            ids=list(range(len(every))),
            flags=[
                once if exact else once | hyperscan.HS_FLAG_CASELESS for exact in every.values()
            ],
        )
        self._lock = threading.Lock()

    def find(self, raw):
        """Names of the values in there -> offset of one place where each is."""
        found = {}

        def note(form, _start, end, _flags, _context):
            index, length = self._forms[form]
            name, at = self.names[index], end - length
            found[name] = min(at, found.get(name, at))

        with self._lock:
            self._database.scan(raw, match_event_handler=note)
        return found


def spell(value):
    """Each way to write it that is to be found, by name."""
    ways = {
        "as it is": value,
        "small": value.lower(),
        "without gaps": fold(value),
        "in JSON": json.dumps({"a": value}),
        "in JSON in JSON": json.dumps(json.dumps(value)),
        "in a URL": quote(value, safe=""),
        "in a form": quote_plus(value),
        "in hex": value.encode().hex(),
    }
    found = {way: text.encode() for way, text in ways.items()}
    for start, pack in product(range(3), (base64.b64encode, base64.urlsafe_b64encode)):
        found[f"{pack.__name__}, {start} later"] = pack(b"-" * start + value.encode() + b" and on")
    return found | {kind: value.encode(kind) for kind in ("utf-16-le", "utf-16-be")}
