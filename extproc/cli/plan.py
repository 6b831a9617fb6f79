"""From what was typed to a `Plan` that can be carried out: every check before the first process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from extproc.cli.engines import EngineGroup, EngineProcess, group_given, plan_sim, write_policy
from extproc.cli.layout import Layout
from extproc.cli.local import plan_vllm
from extproc.cli.preflight import (
    UpError,
    check_address,
    check_ledger,
    check_port,
    check_redis,
    find_envoy,
    find_valkey,
)
from extproc.cli.processes import Plan
from extproc.counting.vocabulary import Vocabularies
from extproc.policy.load import load, names_pools
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader
from extproc.settings import inherited, policy_poll_s

DEMO_POLICY = Path(__file__).parent.parent / "policy" / "demo"


@dataclass(frozen=True, slots=True)
class Typed:
    """The flags of `headgate up`."""

    policy: Path | None
    engines: tuple[str, ...]
    vllm: bool
    workers: int
    address: str
    port: int
    metrics_port: int
    state: Path
    envoy: Path | None
    redis: str | None
    ledger: str | None
    trusted_proxies: int
    sidecars: bool


async def make_plan(
    typed: Typed, layout: Layout, say: Callable[[str], None]
) -> tuple[Plan, Policy]:
    """Decide what to start.

    Raises:
        UpError, PolicyError: What must be mended first.
    """
    envoy = find_envoy(typed.envoy, Path.cwd())
    check_address(typed.address)
    if typed.port == typed.metrics_port:
        raise UpError(f"--port and --metrics-port are both {typed.port}: choose two.")
    check_port(typed.address, typed.port, "--port")
    check_port(typed.address, typed.metrics_port, "--metrics-port")
    check_redis(typed.redis or "")
    check_ledger(typed.ledger or "")
    # Absolute, but not resolved: a link that is swapped is to be followed.
    directories: tuple[Path, ...] = ((typed.policy or DEMO_POLICY).absolute(),)
    groups, processes = await find_engines(typed, directories, say)
    if groups:
        write_policy(layout, groups)
        directories = (*directories, layout.policy)
    policy = load(directories, SecretReader(inherited()), Vocabularies())
    plan = Plan(
        layout=layout,
        envoy=envoy,
        address=typed.address,
        port=typed.port,
        metrics_port=typed.metrics_port,
        workers=typed.workers,
        policy=directories,
        policy_poll_s=policy_poll_s(),
        processes=processes,
        redis=typed.redis or layout.counters_url,
        valkey=None if typed.redis else find_valkey(Path.cwd()),
        ledger=typed.ledger,
        trusted_proxies=typed.trusted_proxies,
        sidecars=typed.sidecars,
    )
    return plan, policy


async def find_engines(
    typed: Typed, directories: Sequence[Path], say: Callable[[str], None]
) -> tuple[Sequence[EngineGroup], Sequence[EngineProcess]]:
    """Given engines; else a local vLLM if asked for; else the policy's own pools; else built-in."""
    if typed.engines and typed.vllm:
        raise UpError("--engine and --vllm exclude each other: give one of them.")
    if typed.engines:
        return await group_given(typed.engines), ()
    if typed.vllm:
        group, processes = await plan_vllm(Path(".vllm"), say)
        return [group], processes
    if names_pools(directories):
        return (), ()
    group, processes = plan_sim()
    return [group], processes
