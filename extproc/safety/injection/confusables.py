"""Letters that look like Latin ones.

Source: Unicode's security mechanisms (UTS 39, confusables.txt), less what NFKC makes Latin anyway
(full-width, mathematical, circled), and less what needs a font that nobody has.
"""

from collections.abc import Mapping
from types import MappingProxyType

_CYRILLIC = {
    "a": "\u0430",
    "b": "\u042c\u044c\u0432",
    "c": "\u0441",
    "d": "\u0501",
    "e": "\u0435\u0451\u04bd",
    "g": "\u0261\u050d",
    "h": "\u04bb\u043d",
    "i": "\u0456\u0457\u04c0\u04cf",
    "j": "\u0458",
    "k": "\u043a",
    "l": "\u0399",
    "m": "\u043c",
    "n": "\u043f",
    "o": "\u043e",
    "p": "\u0440",
    "q": "\u051b",
    "r": "\u0433",
    "s": "\u0455",
    "t": "\u0442",
    "u": "\u0446\u0443",
    "v": "\u0475",
    "w": "\u0461\u051d\u0448",
    "x": "\u0445",
    "y": "\u04af\u04ae",
}
_GREEK = {
    "a": "\u03b1",
    "b": "\u03b2",
    "e": "\u03b5",
    "h": "\u0397",
    "i": "\u03b9",
    "k": "\u03ba",
    "m": "\u039c",
    "n": "\u03b7",
    "o": "\u03bf\u03c3",
    "p": "\u03c1",
    "t": "\u03c4",
    "u": "\u03c5\u03bc",
    "v": "\u03bd",
    "w": "\u03c9",
    "x": "\u03c7",
    "y": "\u03b3",
    "z": "\u0396",
}
_OTHERS = {
    "a": "\u0251\u1d00",
    "b": "\u0299\u13cf",
    "c": "\u1d04",
    "d": "\u1d05\u13e7",
    "e": "\u1d07\u212e",
    "f": "\ua730\u0192",
    "g": "\u0262",
    "h": "\u029c\u13bb",
    "i": "\u026a\u0131\u0269",
    "j": "\u1d0a\u0237",
    "k": "\u1d0b",
    "l": "\u029f\u01c0",
    "m": "\u1d0d",
    "n": "\u0274\u0578",
    "o": "\u1d0f\u0585",
    "p": "\u1d18",
    "r": "\u0280",
    "s": "\ua731\u0282",
    "t": "\u1d1b",
    "u": "\u1d1c\u057d",
    "v": "\u1d20",
    "w": "\u1d21",
    "y": "\u028f",
    "z": "\u1d22",
}

LATIN: Mapping[int, str] = MappingProxyType(
    {
        ord(form): letter
        for table in (_CYRILLIC, _GREEK, _OTHERS)
        for letter, forms in table.items()
        for char in forms
        for form in (char, char.lower())
    }
)
"""For `str.translate`, of text in lower case."""

_TRADITIONAL = (
    "\u5167\u4e26\u986f\u7d71\u5f9e\u73fe\u958b\u767c\u904e\u6ffe\u898f\u5247\u7121\u8996\u8f38\u8aaa"
    "\u7576\u6b0a\u8a5e\u8a71\u8a2d\u54e1\u5f8c\u6e96\u7d04\u7d66\u57f7\u7d55\u5c0d\u63db\u8a0a\u9304"
    "\u50b3\u9001\u8acb\u5beb\u8b80\u8b93\u554f\u984c\u7cfb\u5be9\u8b77\u6a21\u95dc\u9589\u555f\u52d5"
    "\u6a5f\u5bc6\u9375\u5c08\u696d\u70ba\u6703\u4f86\u500b\u9019\u8207\u907a\u6f0f\u539f"
)
_SIMPLIFIED = (
    "\u5185\u5e76\u663e\u7edf\u4ece\u73b0\u5f00\u53d1\u8fc7\u6ee4\u89c4\u5219\u65e0\u89c6\u8f93\u8bf4"
    "\u5f53\u6743\u8bcd\u8bdd\u8bbe\u5458\u540e\u51c6\u7ea6\u7ed9\u6267\u7edd\u5bf9\u6362\u8baf\u5f55"
    "\u4f20\u9001\u8bf7\u5199\u8bfb\u8ba9\u95ee\u9898\u7cfb\u5ba1\u62a4\u6a21\u5173\u95ed\u542f\u52a8"
    "\u673a\u5bc6\u952e\u4e13\u4e1a\u4e3a\u4f1a\u6765\u4e2a\u8fd9\u4e0e\u9057\u6f0f\u539f"
)
SIMPLE: Mapping[str, str] = MappingProxyType(
    {old: new for old, new in zip(_TRADITIONAL, _SIMPLIFIED, strict=True) if old != new}
)
"""Traditional Chinese characters that occur in the rules, in their simplified form. Japanese ones that
are among them change in texts and rules alike."""
