"""How fast an engine is: the physics of a step, as figures. docs/simulator.md tells where from.

A step computes one token of every sequence that decodes, and pieces of prompts. It lasts

      step_s                                     launching, scheduling, sampling
    + max(weights_s, tokens * token_s)           every weight is read once, or arithmetic takes longer
    + decoding * sequence_s                      what each sequence costs outside of the model
    + context_tokens * context_s                 reading the KV cache of all that decode
    + pairs * pair_s                             attention of prompts: every token to those before it

which is a roofline: a batch is paid by its weights until arithmetic is the limit.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One engine process. Times in seconds."""

    name: str
    step_s: float
    weights_s: float = 0.0
    token_s: float
    sequence_s: float = 0.0
    context_s: float = 0.0
    pair_s: float = 0.0

    max_batched_tokens: int = 2048
    """Tokens of a step: one per sequence that decodes, prompts share the rest."""
    max_seqs: int = 256
    blocks: int
    """Blocks of KV cache; as in vLLM, one of them is never given out."""
    block_tokens: int = 16

    lora_slots: int = 4
    """Adapters that fit at once, in a batch and on the GPU."""
    lora_load_s: float = 0.25
    kv_transfer_s_per_token: float = 0.0
    """To take over the KV cache that a prefill engine has computed."""
    startup_s: float = 60.0
    """From the start of the process to its first step."""

    def __post_init__(self) -> None:
        if not 0 < self.max_seqs <= self.max_batched_tokens:
            raise ValueError("max_seqs must be from 1 to max_batched_tokens")
        if self.blocks < 2 or self.block_tokens < 1:
            raise ValueError("blocks must be 2 or more, block_tokens 1 or more")
        if self.step_s + max(self.weights_s, self.token_s) <= 0:
            raise ValueError("a step must take time")

    def slower(self, factor: float) -> "Profile":
        """The same with all times multiplied; below 1 it is faster."""
        return msgspec.structs.replace(
            self,
            step_s=self.step_s * factor,
            weights_s=self.weights_s * factor,
            token_s=self.token_s * factor,
            sequence_s=self.sequence_s * factor,
            context_s=self.context_s * factor,
            pair_s=self.pair_s * factor,
            lora_load_s=self.lora_load_s * factor,
            kv_transfer_s_per_token=self.kv_transfer_s_per_token * factor,
            startup_s=self.startup_s * factor,
        )


class Gpu(msgspec.Struct, frozen=True):
    """What its data sheet says, bf16 without sparsity, and the share of it that is reached."""

    flops: float
    bytes_per_s: float
    memory_bytes: float
    flops_share: float
    """Of large matrix products; what vLLM reaches in prefill, see docs/simulator.md."""
    bytes_share: float = 0.8


class Model(msgspec.Struct, frozen=True):
    """A dense transformer with grouped-query attention, bf16."""

    parameters: float
    layers: int
    width: int
    kv_width: int
    """Key heads times their width."""


def roofline(name: str, model: Model, gpu: Gpu, gpus: int = 1, batched: int = 2048) -> Profile:
    """Derive a profile from data sheets.

    Two bytes per weight; two operations per weight and token; four per pair, layer and width.
    90 % of the memory is vLLM's (its default); 2 GB per GPU are activations and graphs. Sharing a
    model costs two all-reduces per layer, 12 us each over NVLink.
    """
    flops = gpu.flops * gpu.flops_share * gpus
    bytes_per_s = gpu.bytes_per_s * gpu.bytes_share * gpus
    kv_bytes = 2 * 2 * model.layers * model.kv_width
    room = gpus * (0.9 * gpu.memory_bytes - 2e9) - 2 * model.parameters
    return Profile(
        name=name,
        step_s=0.0015 + (2 * 12e-6 * model.layers if gpus > 1 else 0.0),
        weights_s=2 * model.parameters / bytes_per_s,
        token_s=2 * model.parameters / flops,
        sequence_s=8e-6,
        context_s=kv_bytes / bytes_per_s,
        pair_s=4 * model.layers * model.width / flops,
        max_batched_tokens=batched,
        blocks=int(room / kv_bytes / 16),
        kv_transfer_s_per_token=kv_bytes / 25e9,  # 200 Gbit/s between prefill and decode
    )


L4 = Gpu(121e12, 300e9, 24e9, 0.45)
A100 = Gpu(312e12, 2039e9, 80e9, 0.55)
H100 = Gpu(989e12, 3350e9, 80e9, 0.45)
LLAMA_2_7B = Model(6.7e9, 32, 4096, 4096)
MISTRAL_7B = Model(7.2e9, 32, 4096, 1024)
LLAMA_8B = Model(8.0e9, 32, 4096, 1024)
LLAMA_70B = Model(70.6e9, 80, 8192, 1024)

CPU_TINY = Profile(
    name="cpu-tiny",
    step_s=1.4e-3,
    token_s=1.4e-5,
    sequence_s=6e-5,
    context_s=6e-8,
    pair_s=9e-9,
    max_batched_tokens=2048,
    max_seqs=128,
    blocks=8192,
    block_tokens=32,
    startup_s=20.0,
)
"""The 2.6 M parameter model of `engines.localvllm` on two cores: what `calibrate` has found."""

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            roofline("7b-l4", MISTRAL_7B, L4),
            roofline("8b-l4", LLAMA_8B, L4),
            roofline("8b-a100", LLAMA_8B, A100, batched=8192),
            roofline("8b-h100", LLAMA_8B, H100, batched=8192),
            roofline("70b-h100-tp4", LLAMA_70B, H100, 4, 8192),
            roofline("70b-h100-tp8", LLAMA_70B, H100, 8, 8192),
            CPU_TINY,
        )
    }
)
MIXED = ("8b-h100", "8b-a100", "8b-l4", "8b-l4")
"""One model on what a platform team has collected over the years."""


def read_profile(text: str) -> Profile:
    """A profile by its name, or from a file that `calibrate` has written.

    Raises:
        ValueError: There is no such profile or file, or it is none.
    """
    if text in PROFILES:
        return PROFILES[text]
    try:
        raw = Path(text).read_bytes()
    except OSError as error:
        names = ", ".join(PROFILES)
        raise ValueError(f"no profile {text!r} ({names}), and no such file: {error}") from None
    try:
        return msgspec.json.decode(raw, type=Profile)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"{text} is no profile: {error}") from None
