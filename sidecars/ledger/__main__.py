"""The usage API as a process: `python -m sidecars.ledger --socket PATH --ledger PATH|URL`.

Only the gateway may reach the socket: what its headers say of who asks is believed.
"""

import argparse
import gc
import sys
from pathlib import Path

from sidecars.common.serve import serve
from sidecars.ledger.app import make_app
from sidecars.ledger.reader import Books
from telemetry.logs import Event, EventLog, start_logging

_log = EventLog("sidecars.ledger")


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    start_logging("sidecar-ledger", level=options.log_level, form=options.log_form)
    books = Books(options.ledger)
    try:
        serve(make_app(books), options.socket)
    except OSError as fault:
        _log.error(Event.GAVE_UP, reason=str(fault))
        return 1
    finally:
        books.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sidecars.ledger", description="The usage API.")
    add = parser.add_argument
    add("--socket", type=Path, required=True, help="unix socket to listen on, for this user only")
    add("--ledger", default=".headgate/ledger.sqlite", help="path or database URL of the ledger")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    add("--log-form", default="auto", choices=("auto", "json", "text"))
    return parser


if __name__ == "__main__":
    gc.freeze()  # modules stay: at the end alone, walking over them takes 0.1 s of CPU
    sys.exit(main())
