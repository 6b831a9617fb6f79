"""The faults, in the order in which they are tried."""

from collections.abc import Mapping

from faults.cases import database, disk, envoy, nothing, settling, workers
from faults.cases.case import Case
from faults.excuse import Excuse
from faults.place import Place

UNDECIDED = Excuse(statuses=frozenset({503}))
"""A request that was being decided on a worker that died."""

CASES = (
    Case(
        "nothing",
        "nothing at all, for comparison",
        "nothing",
        nothing.harm,
    ),
    Case(
        "worker-kill",
        f"a worker is killed (SIGKILL), {workers.STRIKES} times, each time when both are back",
        "503 for requests that were being decided on it",
        workers.kill_one,
        UNDECIDED,
    ),
    Case(
        "workers-kill",
        "all workers are killed at once (SIGKILL)",
        "503 until the first is back",
        workers.kill_all,
        UNDECIDED,
    ),
    Case(
        "workers-roll",
        "each worker is asked to stop (SIGTERM), one after the other",
        "nothing",
        workers.roll,
    ),
    Case(
        "settle-kill",
        f"the settle process is killed (SIGKILL), {settling.KILLS} times",
        "nothing",
        settling.kill,
    ),
    Case(
        "settle-stop",
        f"the settle process stands still (SIGSTOP) for {settling.STOPPED_S:g} s",
        "nothing",
        settling.stop_and_go,
    ),
    Case(
        "envoy-kill",
        "Envoy is killed (SIGKILL); `headgate up` starts another",
        "connections break, and are refused until it is back",
        envoy.kill,
        Excuse(statuses=frozenset({503}), broken=True, endless=True),
    ),
    Case(
        "log-rotate",
        f"the access log is set aside under Envoy's hands, {settling.TURNS} times",
        "nothing",
        settling.rotate_log,
    ),
    Case(
        "ledger-locked",
        f"SQLite: another process holds the ledger's lock for {database.LOCKED_S:g} s",
        "nothing",
        database.lock_file,
    ),
    Case(
        "ledger-disk-full",
        "SQLite on a disk of its own: not a byte is free, "
        f"until {disk.FULL_S:g} s after the settle process has noticed",
        "nothing",
        disk.fill,
        place=Place.VOLUME,
    ),
    Case(
        "disk-full",
        "ledger, access log and journal on one disk, as by default: not a byte is free, "
        f"until {disk.FULL_S:g} s after the settle process has noticed",
        "nothing",
        disk.fill,
        place=Place.DISK,
    ),
    Case(
        "disk-full-kill",
        "the same, and meanwhile a worker and the settle process are killed (SIGKILL)",
        "503 for requests that were being decided on that worker",
        disk.fill_and_kill,
        UNDECIDED,
        Place.DISK,
    ),
    Case(
        "tables-locked",
        f"PostgreSQL: somebody holds the entries locked for {database.LOCKED_S:g} s",
        "nothing",
        database.lock_tables,
        place=Place.POSTGRESQL,
    ),
    Case(
        "postgresql-restart",
        "PostgreSQL crashes and recovers, then is restarted in good order",
        "nothing",
        database.restart_server,
        place=Place.POSTGRESQL,
    ),
)
BY_NAME: Mapping[str, Case] = {case.name: case for case in CASES}
