"""Short chats and long single prompts, for a pool of fast and slow GPUs.

One in eight first questions brings a long text along, to be summed up or asked about; between the median
prompt of Azure's conversations (1 020 tokens, arXiv 2311.18677) and that of documents (`rag`).
Answers are near Azure's median of 129.
"""

from study.draws import Length
from study.threads import Shape, Turns

MIXED = Shape(
    title="mixed",
    first=Length(161, 1.0, 8, 2048),
    later=Length(73, 1.0, 4, 2048),
    answer=Length(150, 0.8, 8, 1024),
    turns=Turns(mean=3.5),
    think_s=8.0,
    tenants=4,
    long=Length(5000, 0.5, 2000, 12000),
    long_share=0.125,
    most_tokens=16384,
)
