"""`headgate up --vllm`: a real vLLM on this machine's CPU, with a tiny model of random weights.

What it says is nonsense; its counts, cache, metrics and protocol are those of any vLLM.
"""

from collections.abc import Callable
from pathlib import Path

from engines.localvllm.install import LOCK, InstallError, Needs, install
from engines.localvllm.launch import Server, command_line, environment
from engines.localvllm.model import write_model
from extproc.cli.engines import EngineGroup, EngineProcess
from extproc.cli.preflight import UpError, free_port
from extproc.settings import inherited

READY_S = 300.0
"""It takes 15 to 35 s on a quiet machine, and compiles kernels at its first start."""


async def plan_vllm(
    directory: Path, say: Callable[[str], None]
) -> tuple[EngineGroup, list[EngineProcess]]:
    """Install vLLM if it is not there yet, make its model, and plan one server. Raises: UpError."""
    try:
        await install(directory, LOCK, Needs(), say)
        model = directory / "model-tiny"
        write_model(model)
    except (InstallError, OSError) as exc:
        raise UpError(f"--vllm: {exc}") from None
    server = Server(directory, model, free_port())
    endpoint = server.url.removeprefix("http://")
    process = EngineProcess(
        endpoint, command_line(server), environment(server, inherited()), READY_S
    )
    return EngineGroup("vllm", (server.served_name,), (endpoint,)), [process]
