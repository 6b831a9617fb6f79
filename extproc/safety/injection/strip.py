"""Takes out of a text what makes it an attack, and leaves a mark that something was there.

Sentence by sentence: those that say something by themselves go first. If what is left is still an attack,
all of it goes.
"""

import re
from collections.abc import Callable

from extproc.dialects.textual import Speaker
from extproc.safety.injection.firewall import Firewall
from extproc.safety.injection.normal import UNSEEN

REMOVED = "[removed by the gateway]"
SENTENCE = re.compile(r"[^\n]*?(?:[.!?](?=\s|$)[ \t]*\n?|[\u3002\uff01\uff1f]|\n|$)")
MOST_SENTENCES = 2_000
"""Of a text; one that has more goes as a whole."""
LEAST_SCORE = 0.3
"""Of a sentence that is taken out. Low, for the text it stands in is known to be an attack."""
MARKER = re.compile(
    r"<\|[A-Za-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|</?s>", re.IGNORECASE
)
"""Of chat templates. Nothing is lost with them."""


def strip(text: str, speaker: Speaker, firewall: Firewall) -> str:
    """Return what is left. Costs as much as judging it three times."""
    return strip_by(
        text,
        lambda piece: firewall.matcher.find(piece, speaker).score,
        lambda piece: firewall.is_attack(piece, speaker),
    )


def strip_by(text: str, score: Callable[[str], float], is_attack: Callable[[str], bool]) -> str:
    bare = MARKER.sub("", UNSEEN.sub("", text))
    if bare != text and not is_attack(bare):
        return bare
    sentences = [each for each in SENTENCE.findall(bare) if each]
    if len(sentences) > MOST_SENTENCES:
        return REMOVED
    kept: list[str] = []
    for sentence in sentences:
        if score(sentence) < LEAST_SCORE:
            kept.append(sentence)
        elif not kept or kept[-1] != f"{REMOVED} ":
            kept.append(f"{REMOVED} ")
    left = "".join(kept).rstrip(" ")
    return REMOVED if is_attack(left) else left
