"""What serves: engines of one model, some faster than others. Their physics is `engines.sim`'s."""

from collections.abc import Sequence
from itertools import cycle, islice

from engines.sim.profile import H100, L4, Model, Profile, roofline

LLAMA_8B_FP8 = Model(parameters=4.0e9, layers=32, width=4096, kv_width=512)
"""Llama 3.1 8B with weights and KV cache in FP8, as in KubeAI's benchmark. A GPU reads half the bytes and
computes twice as fast in FP8, so it counts as half as many weights, and half as wide keys, in bf16;
attention itself stays as it is."""

L4_FP8 = roofline("8b-fp8-l4", LLAMA_8B_FP8, L4)
H100_FP8 = roofline("8b-fp8-h100", LLAMA_8B_FP8, H100, batched=8192)
L4_KUBEAI = roofline("8b-fp8-l4-16k", LLAMA_8B_FP8, L4, batched=16384)
"""With `--max-num-batched-tokens=16384`, as theirs were."""

ALL_L4: Sequence[Profile] = (L4_FP8,)
KUBEAI: Sequence[Profile] = (L4_KUBEAI,)
HALF_AND_HALF: Sequence[Profile] = (L4_FP8, H100_FP8)


def pool(kinds: Sequence[Profile], replicas: int) -> dict[str, Profile]:
    """So many endpoints, of each kind as many."""
    profiles = islice(cycle(kinds), replicas)
    return {f"10.0.{n // 250}.{n % 250 + 1}:8000": each for n, each in enumerate(profiles)}
