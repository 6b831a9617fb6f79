"""Answers and rows, ready to be changed in one place."""

import msgspec

from faults.answer import Answer, End
from faults.books import Line, Totals
from faults.excuse import NONE, Window
from faults.stand import Tokens
from faults.verdict import Evidence

ANSWER = Answer("t-1", "chat", "acme", 10.0, 11.0, End.WHOLE, 200, 17, 12)
LINE = Line("key-1", "t-1", "acme", "127.0.0.1:1", 1, 17, 12, 0, 200, 1, False, False)
ENGINES = {"127.0.0.1:1": Tokens(17, 12), "127.0.0.1:2": Tokens(0, 0)}


def answer(**changed):
    return msgspec.structs.replace(ANSWER, **changed)


def line(**changed):
    return msgspec.structs.replace(LINE, **changed)


def totals(lines):
    return Totals(
        len(lines),
        sum(line.prompt_tokens or 0 for line in lines),
        sum(line.completion_tokens or 0 for line in lines),
        sum(line.cached_tokens or 0 for line in lines),
    )


def evidence(answers=(ANSWER,), lines=(LINE,), engines=ENGINES, excuse=NONE, window=None, **more):
    window = window or Window(10.5, 10.6)
    tables = {"entry": totals(lines), "request": totals(lines)}
    return Evidence(answers, lines, more.pop("totals", tables), engines, window, excuse, **more)
