"""Questions about documents: few long ones, shared, some far more asked about than others.

Long prompts, short answers, nine tokens in ten shared: as in the document workloads of Preble (arXiv 2407.00023,
table 1: prompts of 1 800 to 23 000 tokens, of which 85 to 97 % are shared, and answers of 4 to 190).
64 documents of 8 192 tokens on average are half a million tokens: more than one engine's cache, less than
the pool's.
"""

from collections.abc import Sequence

from study.draws import Length, source
from study.threads import Prefix, Shape, Turns

DOCUMENTS = 64
LENGTH = Length(8192, 0.4, 2048, 16384)


def documents() -> Sequence[Prefix]:
    """The same in every run: they are the library, not the traffic."""
    chance = source("documents")
    return [Prefix(f"document-{number}", LENGTH.draw(chance)) for number in range(DOCUMENTS)]


def shape() -> Shape:
    return Shape(
        title="rag",
        first=Length(60, 0.8, 8, 512),
        later=Length(40, 0.8, 8, 512),
        answer=Length(120, 0.7, 8, 512),
        turns=Turns(mean=1.5),
        think_s=10.0,
        shared=documents(),
        skew=0.9,
        most_tokens=20000,
    )
