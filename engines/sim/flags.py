"""The flags of `python -m engines.sim`, and what they make."""

import argparse
import os
from collections.abc import Callable
from typing import Literal

import msgspec

from engines.sim.profile import Profile, read_profile
from engines.sim.run import Settings

RECORD = "SIM_RECORD"
"""The environment's name for `--record`, for engines that somebody else starts."""


class Flags(argparse.Namespace):
    """The flags with their types; the parser fills them in."""

    host: str
    port: int
    model: list[str]
    ttft_ms: float
    itl_ms: float
    max_model_len: int
    block_size: int | None
    num_gpu_blocks: int | None
    profile: Profile | None
    time_factor: float
    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    lora: list[str]
    max_loras: int | None
    role: Literal["both", "prefill", "decode"]
    startup_s: float
    kv_events: int | None
    kv_replay: int | None
    kv_topic: str
    record: str
    fail_rate: float
    seed: int
    ready_fd: int | None = None


def parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m engines.sim",
        description="An OpenAI-shaped engine that answers like vLLM and needs no model: "
        "deterministic words, exact token counts, a real prefix cache, faults on request.",
        epilog='A request may carry "x_sim": {"ttft_ms": 500, "itl_ms": 20, "fault": "cut_after:3"}.'
        " The faults: error_500, error_503, cut_before_headers, cut_after_headers, cut_after:N, "
        "hang, slow, huge:M, drip:N. `python -m pydoc engines.sim` tells what each one does.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def add(flag: str, kind: Callable[[str], object], value: object, text: str) -> None:
        parser.add_argument(flag, type=kind, default=value, help=text)

    add("--host", str, "127.0.0.1", "address to listen on")
    add("--port", _number(int, 0, 65535), 0, "port to listen on; 0 takes a free one")
    parser.add_argument(
        "--model",
        nargs="+",
        default=list(default.models),
        metavar="NAME",
        help="name in answers and metrics, then its aliases",
    )
    add("--ttft-ms", _number(float, 0), default.ttft_ms, "time to the first token")
    add("--itl-ms", _number(float, 0), default.itl_ms, "time between tokens; 0 sends all at once")
    add(
        "--max-model-len",
        _number(int, 2),
        default.max_model_len,
        "longest prompt and answer together, in tokens",
    )
    _add_engine(parser)
    add(
        "--fail-rate",
        _number(float, 0, 1),
        default.fail_rate,
        "share of requests answered with 503, from 0 to 1",
    )
    add("--seed", int, default.seed, "decides which requests --fail-rate hits")
    add(
        "--ready-fd",
        _number(int, 0),
        argparse.SUPPRESS,
        "descriptor that gets the URL as one line, and is closed, when ready",
    )
    return parser


def _add_engine(parser: argparse.ArgumentParser) -> None:
    """What makes it behave like one engine or another."""

    def add(flag: str, kind: Callable[[str], object], text: str, value: object = None) -> None:
        parser.add_argument(flag, type=kind, default=value, help=text)

    size = "tokens per block of KV cache; else the profile's, or 32"
    add("--block-size", _number(int, 1), size)
    parser.add_argument(
        *("--num-gpu-blocks", "--num-blocks"),
        type=_number(int, 2),
        help="blocks of KV cache; else the profile's, or 8192",
    )
    add("--profile", _profile, "physics: a name of docs/simulator.md, or a file of `calibrate`")
    add("--time-factor", _number(float, 1e-6), "multiply the times of the profile", 1.0)
    add("--max-num-seqs", _number(int, 1), "sequences in a batch; else the profile's")
    add("--max-num-batched-tokens", _number(int, 1), "tokens of a step; else the profile's")
    parser.add_argument("--lora", action="append", default=[], metavar="NAME", help="an adapter")
    add("--max-loras", _number(int, 1), "adapters in a batch; else the profile's")
    parser.add_argument(
        "--role",
        choices=("both", "prefill", "decode"),
        default="both",
        help="a decode engine has prompts computed where x-prefiller-host-port says",
    )
    add("--startup-s", _number(float, 0), "refuse connections for so long first", 0.0)
    add("--kv-events", _number(int, 0, 65535), "port to publish KV events on (ZMQ); 0: a free one")
    add("--kv-replay", _number(int, 0, 65535), "port to replay them on")
    add("--kv-topic", str, "topic of KV events", "")
    given = os.environ.get(RECORD, "")  # noqa: TID251 - not the gateway's process
    add("--record", str, f"directory to write down all requests in; ${RECORD} does as well", given)


def _profile(text: str) -> Profile:
    try:
        return read_profile(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def settings_of(flags: Flags) -> Settings:
    """Raises ValueError for flags that do not fit together."""
    default = Settings()
    profile = flags.profile and _changed(flags.profile, flags)
    if profile is None:
        block_size = flags.block_size or default.block_size
        num_blocks = flags.num_gpu_blocks or default.num_blocks
        room = flags.max_model_len
    else:
        block_size, num_blocks = profile.block_tokens, profile.blocks
        room = (num_blocks - 1) * block_size
    return Settings(
        models=tuple(flags.model),
        ttft_ms=flags.ttft_ms,
        itl_ms=flags.itl_ms,
        max_model_len=min(flags.max_model_len, room),
        block_size=block_size,
        num_blocks=num_blocks,
        fail_rate=flags.fail_rate,
        seed=flags.seed,
        adapters=tuple(flags.lora),
        profile=profile,
        kv_events=flags.kv_events is not None,
        role=flags.role,
    )


def _changed(profile: Profile, flags: Flags) -> Profile:
    """The profile with what other flags say."""
    seqs = flags.max_num_seqs or profile.max_seqs
    return msgspec.structs.replace(
        profile.slower(flags.time_factor),
        max_batched_tokens=flags.max_num_batched_tokens or max(seqs, profile.max_batched_tokens),
        max_seqs=seqs,
        blocks=flags.num_gpu_blocks or profile.blocks,
        block_tokens=flags.block_size or profile.block_tokens,
        lora_slots=flags.max_loras or profile.lora_slots,
    )


def _number(
    kind: type[int] | type[float], least: float, most: float = float("inf")
) -> Callable[[str], float]:
    """A parser for numbers from `least` to `most`; infinities and nan are none."""

    def number(text: str) -> float:
        value = kind(text)
        if not (least <= value <= most and value < float("inf")):
            raise argparse.ArgumentTypeError(f"must be {kind.__name__}, {least} to {most}")
        return value

    number.__name__ = kind.__name__  # argparse says "invalid int value" with it
    return number
