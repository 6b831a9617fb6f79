"""What stands in a text instead of a value.

A placeholder is made of the tenant, the type and the value, by HMAC: the same in every turn, worker and
replica, so a masked conversation begins alike each time and engines still know its beginning; and
nobody without the key can tell which value it is, or make the one of another tenant.

Two values of a request may get the same placeholder by chance. The later one then gets its next: in
a conversation that only grows, what was earlier stays as it was. What a client itself sends in the form
of a placeholder is masked like a value, so every placeholder that leaves is ours, and no text of a
client can name a value.
"""

import hmac
import re
from collections.abc import Callable, Sequence

from extproc.safety.masked import NAME_LENGTH, TAG_LENGTH, TAG_LETTERS
from extproc.safety.pii.finding import Finding
from extproc.safety.pii.normal import make_plain

BARE = frozenset({"phone", "resident_id", "bank_card", "iban", "ssn", "passport", "plate"})
"""Types in which spaces, dashes and brackets say nothing: two ways to write one value."""
BETWEEN = re.compile(r"[\s().\-\u00b7\u2022]+")
NO_LETTER = re.compile(r"[^A-Z]+")
HASH_DIGITS = 16


class Masker:
    """Of one request. `values` are what was masked, by placeholder."""

    def __init__(self, key: str, tenant: str) -> None:
        self._key = key.encode()
        self._tenant = tenant
        self.values: dict[str, str] = {}
        self._placeholders: dict[tuple[str, str], str] = {}

    def mask(self, kind: str, value: str) -> str:
        """Return the placeholder of a value; what it is restored to is how it was written first. 5 us
        for a new one."""
        same = canonical(kind, value)
        if known := self._placeholders.get((kind, same)):
            return known
        attempt = 0
        while True:
            made = f"<{name_of(kind)}_{self._tag(kind, same, attempt)}>"
            if made not in self.values:
                break
            attempt += 1
        self.values[made] = value
        self._placeholders[kind, same] = made
        return made

    def hash(self, kind: str, value: str) -> str:
        """Return what tells equal values, of this tenant and key, and nothing else."""
        return self._digest("hash", kind, canonical(kind, value)).hex()[:HASH_DIGITS]

    def _tag(self, kind: str, same: str, attempt: int) -> str:
        number = int.from_bytes(self._digest("mask", kind, same, str(attempt))[:16])
        letters: list[str] = []
        for _ in range(TAG_LENGTH):
            number, letter = divmod(number, len(TAG_LETTERS))
            letters.append(TAG_LETTERS[letter])
        return "".join(letters)

    def _digest(self, *parts: str) -> bytes:
        """Lengths stand before texts, so no two lists of them are the same message."""
        said = "".join(f"{len(part)}:{part}" for part in ("pii", self._tenant, *parts))
        return hmac.digest(self._key, said.encode("utf-8", "surrogatepass"), "sha256")


def canonical(kind: str, value: str) -> str:
    """Write a value in one way, however it was written."""
    plain = make_plain(value).text
    if kind in BARE:
        return BETWEEN.sub("", plain).upper()
    return plain.lower() if kind == "email" else plain


def name_of(kind: str) -> str:
    """Return what a type is called in a placeholder: capitals and underscores."""
    name = NO_LETTER.sub("_", kind.upper()).strip("_")[:NAME_LENGTH].rstrip("_")
    return name or "VALUE"


def replace(text: str, findings: Sequence[Finding], put: Callable[[str, str], str]) -> str:
    """Put something in place of findings, which are in order and do not overlap."""
    pieces: list[str] = []
    last = 0
    for each in findings:
        pieces += (text[last : each.start], put(each.type, text[each.start : each.end]))
        last = each.end
    return "".join([*pieces, text[last:]])
