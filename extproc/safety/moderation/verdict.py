r"""What services that judge say, read as scores by category.

OpenAI's `/v1/moderations` tells scores (platform.openai.com, API reference, Moderations). Chat models that
are guards tell words, and which ones says what model it is:

    Llama Guard 3    safe                 (its model card: the second line names hazards of MLCommons)
                     unsafe\nS1,S10
    Qwen3Guard-Gen   Safety: Unsafe       (its README; the third level is Controversial, half a score)
                     Categories: Violent, PII
    ShieldGemma      Yes | No             (its model card: whether a policy is violated)
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from extproc.errors import DetectorError

HAZARDS = {
    "S1": "violent_crimes",
    "S2": "non_violent_crimes",
    "S3": "sex_related_crimes",
    "S4": "child_sexual_exploitation",
    "S5": "defamation",
    "S6": "specialized_advice",
    "S7": "privacy",
    "S8": "intellectual_property",
    "S9": "indiscriminate_weapons",
    "S10": "hate",
    "S11": "suicide_self_harm",
    "S12": "sexual_content",
    "S13": "elections",
    "S14": "code_interpreter_abuse",
}
UNSAFE = "unsafe"
"""The category where none is named."""
LEVELS = {"safe": 0.0, "controversial": 0.5, "unsafe": 1.0}
CODE = r"[A-Z]{1,2}\d{1,2}"
LLAMA = re.compile(rf"(safe|unsafe)(?:\s+({CODE}(?:\s*,\s*{CODE})*))?", re.IGNORECASE)
QWEN_LEVEL = re.compile(r"^safety:\s*(\w+)", re.IGNORECASE | re.MULTILINE)
QWEN_CATEGORIES = re.compile(r"^categor(?:y|ies):\s*(.+)$", re.IGNORECASE | re.MULTILINE)
SHIELD = re.compile(r"(yes|no)\b", re.IGNORECASE)
NO_NAME = re.compile(r"[^a-z0-9]+")
MOST_NAME = 48
"""Characters of a category. Its letters, digits and underscores are all that is told to anybody."""


class _Result(msgspec.Struct):
    category_scores: dict[str, float] = {}
    categories: dict[str, bool] = {}
    flagged: bool = False


class _Results(msgspec.Struct):
    results: list[_Result]


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Chat(msgspec.Struct):
    choices: list[_Choice]


def read_moderations(raw: bytes, count: int) -> Sequence[Mapping[str, float]]:
    """Read what `/v1/moderations` answers to so many texts. Raises: DetectorError."""
    try:
        results = msgspec.json.decode(raw, type=_Results).results
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DetectorError("answered no results") from None
    if len(results) != count:
        raise DetectorError("answered for another number of texts")
    return [read_result(each) for each in results]


def read_result(result: _Result) -> Mapping[str, float]:
    scores = {name_of(name): float(score) for name, score in result.category_scores.items()}
    if not scores:
        scores = {name_of(name): float(is_in) for name, is_in in result.categories.items()}
    return scores or ({UNSAFE: 1.0} if result.flagged else {})


def read_chat(raw: bytes) -> Mapping[str, float]:
    """Read the verdict of a guard. Raises: DetectorError."""
    try:
        choices = msgspec.json.decode(raw, type=_Chat).choices
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DetectorError("answered no chat") from None
    if not choices:
        raise DetectorError("answered without a choice")
    return read_verdict(choices[0].message.content)


def read_verdict(said: str) -> Mapping[str, float]:
    """Raises: DetectorError."""
    said = said.strip()
    if match := QWEN_LEVEL.search(said):
        level = LEVELS.get(match[1].lower())
        if level is not None:
            named = QWEN_CATEGORIES.search(said)
            return score(re.split(r"[,;]", named[1]) if named else (), level)
    if match := LLAMA.fullmatch(said):
        names = [HAZARDS.get(each.strip().upper(), each) for each in (match[2] or "").split(",")]
        return score(names, LEVELS[match[1].lower()])
    if match := SHIELD.match(said):
        return score((), 1.0 if match[1].lower() == "yes" else 0.0)
    raise DetectorError("answered no verdict")


def score(names: Sequence[str], level: float) -> Mapping[str, float]:
    known = [name_of(each) for each in names if name_of(each) not in ("", "none")]
    return dict.fromkeys(known or [UNSAFE], level) if level else {}


def name_of(category: str) -> str:
    """`Suicide & Self-Harm` -> `suicide_self_harm`, `violence/graphic` -> `violence_graphic`."""
    return NO_NAME.sub("_", category.strip().lower()).strip("_")[:MOST_NAME]
