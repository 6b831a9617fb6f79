"""Puts the caller's own values back in place of placeholders, in answers of any form.

Only placeholders of this very request are known, so one that a model invents, or that comes from
another's text, stays as it is. What is put in is not looked at again.

The stream is held back by what may be the beginning of a placeholder, one for each text in it. Events
without a trace of one pass as they came, unparsed.

`logprobs` stay as the engine wrote them: there, placeholders are in pieces, and are not put together.
"""

from collections.abc import Callable, Mapping

from extproc.dialects.literals import quote
from extproc.dialects.rewriting import Rewriting
from extproc.request import Kind
from extproc.safety.forms import Forms, forms

JSON_TEXTS = frozenset({"content", "text"})
"""Members that hold JSON when the request asked for an answer in JSON."""


def restoring(
    kind: Kind,
    values: Mapping[str, str],
    *,
    in_json: bool = False,
    begin: Callable[[], None] = lambda: None,
) -> Rewriting:
    """Restore these values, by placeholder, in one answer. `in_json`: the request asked for JSON, so
    what is put into the content must be fit for a JSON string. `begin` is called once, before the first
    value goes out; what it raises keeps it in."""
    return Rewriting(kind, Restore(values, begin), JSON_TEXTS if in_json else frozenset())


class Restore:
    """The editor. `restored` counts by type."""

    def __init__(self, values: Mapping[str, str], begin: Callable[[], None]) -> None:
        self._values = {core(each): value for each, value in values.items()}
        self._forms = forms(frozenset(type_of(each) for each in self._values))
        self._begin = begin
        self.restored: dict[str, int] = {}

    def begin(self, depth: int) -> "Restored":
        return Restored(self._forms, self._take, depth)

    def may_change(self, raw: bytes) -> bool:
        return self._forms.may_be_in(raw)

    def may_stand(self, raw: bytes) -> bool:
        return self._forms.may_stand(raw)

    def _take(self, placeholder: str) -> str | None:
        value = self._values.get(placeholder)
        if value is not None:
            if not self.restored:
                self._begin()
            kind = type_of(placeholder)
            self.restored[kind] = self.restored.get(kind, 0) + 1
        return value


class Restored:
    """One text, restored as it comes. Costs 2 us for a piece that holds nothing back."""

    def __init__(self, forms: Forms, take: Callable[[str], str | None], depth: int) -> None:
        self._forms = forms
        self._take = take
        self._depth = depth
        self._held = ""
        self._before = ""
        """A backslash, if that was the last to go out: the next character belongs to it."""

    @property
    def idle(self) -> bool:
        return not (self._held or self._before)

    def feed(self, text: str) -> str:
        text, start = self._before + self._held + text, len(self._before)
        hold = self._forms.find_tail(text, start)
        restored, end = self._restore(text, start, hold)
        self._held = text[end:]
        self._before = "\\" if text[:end].endswith("\\") else ""
        return restored

    def finish(self) -> str:
        text, start = self._before + self._held, len(self._before)
        self._held = self._before = ""
        return self._restore(text, start, len(text) + 1)[0]

    def _restore(self, text: str, at: int, hold: int) -> tuple[str, int]:
        """Restore what ends before `hold`; return it, and where the rest begins."""
        out: list[str] = []
        for found in self._forms.whole.finditer(text, at):
            if found.start() >= hold:
                break
            if found.end() > hold:  # it is whole, whatever its last letters could begin
                hold = self._forms.find_tail(text, found.end())
            value = self._take((found["loose"] or found["word"]).replace("\\", "").upper())
            if value is None:
                continue
            for _ in range(self._depth):
                value = quote(value)
            lone = found["open"] if found["open"] and not found["close"] else ""
            out += (text[at : found.start()], lone, value)
            at = found.end()
        hold = max(at, min(hold, len(text)))
        out.append(text[at:hold])
        return "".join(out), hold


def core(placeholder: str) -> str:
    """Take off the brackets."""
    return placeholder.strip("<>")


def type_of(core: str) -> str:
    return core.rpartition("_")[0]
