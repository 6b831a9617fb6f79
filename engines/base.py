"""Every kind of engine, by the name that policies have for it."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from engines.anthropic import ANTHROPIC
from engines.kind import Engine, EngineName
from engines.llamacpp import LLAMACPP
from engines.ollama import OLLAMA
from engines.openai import OPENAI
from engines.sglang import SGLANG
from engines.tgi import TGI
from engines.triton import TRITON
from engines.vllm import VLLM

__all__ = ["ENGINES", "SIM", "VLLM", "Engine", "EngineName"]

# The built-in engine speaks vLLM's protocol, so it differs in little but its name.
SIM = replace(VLLM, name="sim", renders=False)

ENGINES: Mapping[EngineName, Engine] = MappingProxyType(
    {
        engine.name: engine
        for engine in (VLLM, SGLANG, TGI, TRITON, LLAMACPP, OLLAMA, SIM, OPENAI, ANTHROPIC)
    }
)
