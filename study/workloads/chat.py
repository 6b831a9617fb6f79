"""KubeAI's case: threads as in ShareGPT, asked one turn after the other without a pause.

Their page "Benchmarking Prefix Aware Load Balancing" (kubeai.org) gives the sums: 8 000 requests, ten of
each of 800 conversations that have 16 messages or more; 6 656 338 prompt tokens, 832 each; 608 447
generated, 76 each. First questions of ShareGPT have 161 tokens on average (vLLM's paper, arXiv
2309.06180, figure 11); the later ones follow from the mean of all prompts: ten turns that grow by
149 tokens each. Their figures of -95 % TTFT and +127 % throughput (blog, 2025-02-26) are of 1200
threads at once on the same 8 L4.
"""

from study.draws import Length
from study.threads import Shape, Turns

CHAT = Shape(
    title="chat",
    first=Length(161, 1.0, 8, 2048),
    later=Length(73, 1.0, 4, 2048),
    answer=Length(76, 0.7, 4, 512),
    turns=Turns(mean=10, least=8, most=20),
)

TALK = Shape(
    title="talk",
    first=Length(161, 1.0, 8, 2048),
    later=Length(73, 1.0, 4, 2048),
    answer=Length(200, 0.8, 8, 1024),
    turns=Turns(mean=5),
    think_s=8.0,
    tenants=8,
)
"""The same in an open loop: people who read before they ask again. Half of ShareGPT's conversations
are short: 3.5 turns on average (arXiv 2512.17843, table 1)."""
