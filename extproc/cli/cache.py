"""`headgate cache`: what is kept of whom, and forgetting it."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from extproc.cache.base import Answers, Holding
from extproc.cache.questions import Questions
from extproc.cli.limits import (
    DEFAULT_STATE,
    PATIENCE_S,
    AsJson,
    PolicyFlag,
    RedisFlag,
    StateFlag,
    ask_store,
    check_state,
    leave,
    leave_broken,
    noted,
    served,
    urls,
)
from extproc.errors import PolicyError, QuestionsFaultError
from extproc.filters.caching import keys_of
from extproc.filters.listening import where
from extproc.policy.load import load
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretError, SecretReader, find_secrets
from extproc.settings import inherited
from extproc.stores.cache_redis import open_answers
from extproc.stores.milvus import MilvusLine
from extproc.stores.questions_milvus import MilvusQuestions

app = typer.Typer(help="Answers that are kept.", no_args_is_help=True)

T = TypeVar("T")

PATIENT_S = 10.0
"""For Milvus, which may have to load what has been let go of."""

Tenant = Annotated[str | None, typer.Option("--tenant", help="Whose answers.")]
Model = Annotated[str | None, typer.Option("--model", help="Of this model only.")]


@app.command("stats")
def stats(
    tenant: Tenant = None,
    model: Model = None,
    state: StateFlag = DEFAULT_STATE,
    redis: RedisFlag = None,
    policy: PolicyFlag = None,
    as_json: AsJson = False,
) -> None:
    """Say how many answers are kept, and how large they are, by tenant and model."""
    known = find_policy(state, policy)
    names = places(known)
    holdings = ask(state, redis, lambda answers: answers.look())
    rows = [
        row
        for row in (document(each, names) for each in holdings)
        if tenant in (None, row["tenant"]) and model in (None, row["model"])
    ]
    if known.cache.questions.milvus is not None:
        counts = ask_questions(known, partial(count, known, rows))
        rows = [{**row, "questions": found} for row, found in zip(rows, counts, strict=True)]
    if as_json:
        json.dump(rows, sys.stdout, indent=2)
        typer.echo()
        return
    if not rows:
        typer.echo("nothing is kept")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("tenant")
    table.add_column("model", overflow="fold")
    table.add_column("answers", justify="right")
    table.add_column("kB", justify="right")
    shares = "questions" in rows[0]
    if shares:
        table.add_column("questions in Milvus", justify="right")
    for row in rows:
        size = str(int(str(row["bytes"])) // 1000)
        told = [str(row[name]) for name in ("tenant", "model", "answers")]
        table.add_row(*told, size, *([str(row["questions"])] if shares else []))
    Console().print(table)


@app.command("purge")
def purge(
    tenant: Tenant = None,
    model: Model = None,
    state: StateFlag = DEFAULT_STATE,
    redis: RedisFlag = None,
    policy: PolicyFlag = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget what is kept: of a tenant, of one of their models, or all."""
    known = find_policy(state, policy)
    if model is not None and tenant is None:
        leave("--model needs --tenant: keys tell a model only together with its tenant")
    if tenant is not None and tenant not in {each.name for each in known.tenants}:
        leave(f"there is no tenant {tenant!r}")
    if model is not None and model not in {each.name for each in known.models}:
        leave(f"there is no model {model!r}")
    check_state(state, redis)
    if not yes:
        typer.confirm(f"Forget what is kept of {tenant or 'everybody'}?", abort=True)
    place = keys_of(known).place_of(tenant, model or "") if tenant else ""
    whose = ("cache.purged", model or "all models", tenant or "")
    with noted(state) as record:
        number = ask(state, redis, lambda answers: answers.purge(place))
        record.tell(*whose, answers=number)
    typer.echo(f"forgot {number} answer{'' if number == 1 else 's'}")
    if known.cache.questions.milvus is not None:
        with noted(state) as record:
            number = ask_questions(known, lambda questions: questions.purge(place))
            record.tell(*whose, questions=number)
        typer.echo(f"forgot {number} question{'' if number == 1 else 's'} in Milvus")


def find_policy(state: Path, directories: list[Path] | None) -> Policy:
    """Read the policy, with the secrets of its cache: names of tenants are found by its key. Others are for the
    workers alone, and need not be where this is typed."""
    try:
        policy = load(directories or served(state))
    except PolicyError as exc:
        leave_broken(exc, directories)
    reader = SecretReader(inherited())
    for place, secret in find_secrets(policy.cache, ("cache",)):
        try:
            secret.found(reader.read(secret))
        except SecretError as exc:
            leave(f"{'.'.join(map(str, place))}: {exc}")
    return policy


def places(policy: Policy) -> Mapping[str, tuple[str, str]]:
    """Say which tenant and model each hashed name is."""
    keys = keys_of(policy)
    return {
        keys.place_of(tenant.name, model.name): (tenant.name, model.name)
        for tenant in policy.tenants
        for model in policy.models
    }


def document(holding: Holding, names: Mapping[str, tuple[str, str]]) -> dict[str, object]:
    tenant, model = names.get(holding.place, ("unknown", "unknown"))
    return {"tenant": tenant, "model": model, "answers": holding.entries, "bytes": holding.size}


def ask(state: Path, redis: str | None, question: Callable[[Answers], Awaitable[T]]) -> T:
    store = open_answers(urls(state, redis)[0], deadline_s=PATIENCE_S)
    return ask_store(store, question, "the cache cannot be reached")


def ask_questions(policy: Policy, question: Callable[[Questions], Awaitable[T]]) -> T:
    """Ask where questions are kept, if workers share that; leave with one line when nobody answers."""
    milvus = policy.cache.questions.milvus
    assert milvus is not None

    async def answer() -> T:
        line = MilvusLine(where(milvus, PATIENT_S))
        try:
            return await question(MilvusQuestions(line))
        finally:
            line.close()

    try:
        return asyncio.run(answer())
    except (QuestionsFaultError, ValueError) as exc:
        leave(f"Milvus cannot be asked: {exc}")


async def count(
    policy: Policy, rows: Sequence[Mapping[str, object]], questions: Questions
) -> Sequence[int]:
    """Count the questions of the tenant and model of each row."""
    keys = keys_of(policy)
    return [
        await questions.count(keys.place_of(str(row["tenant"]), str(row["model"]))) for row in rows
    ]
