"""Where `headgate` begins: how each command ends when it is interrupted, or nobody reads what it prints.

Nothing is imported at the top that takes long: until `main` runs, Ctrl-C prints a traceback.
"""

import gc
import os
import signal
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from types import FrameType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

INTERRUPTED = 128 + signal.SIGINT
READER_LEFT = 128 + signal.SIGPIPE
"""Exit codes, as shells make them of signals."""


class Output(FileIO):
    """Standard output; when its reader leaves, as `head` does, the command ends quietly. Not by the signal,
    as in other tools: it would come from a socket too."""

    def write(self, content: "ReadableBuffer", /) -> int | None:  # type: ignore[override] # as in RawIOBase
        try:
            return super().write(content)
        except OSError as exc:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # for what is in buffers still
            has_left = isinstance(exc, BrokenPipeError)
            sys.exit(READER_LEFT if has_left else f"standard output: {exc.strerror}")


def main() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupted)
    sys.stdout = ending_quietly(sys.stdout)
    # A quarter of the CPU of a short command is the collector's, looking through modules that all stay:
    # while they are imported, and when Python ends.
    gc.disable()
    from extproc.cli.commands import build, find  # noqa: PLC0415 - takes long, see above

    program = build(find(sys.argv[1:]))
    gc.freeze()
    gc.enable()
    if signal.getsignal(signal.SIGINT) is interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        program()
    finally:
        flush(sys.stdout)


def interrupted(_signal: int, _frame: FrameType | None) -> None:
    """End at once: so far there are only imports, which an exception would break anywhere."""
    os._exit(INTERRUPTED)


def flush(output: TextIO | None) -> None:
    """It is None when it was closed from the start."""
    if output is not None:
        output.flush()


def ending_quietly(given: TextIO) -> TextIO:
    """Make standard output anew, as it is but for its end."""
    if not isinstance(given, TextIOWrapper):
        return given
    return TextIOWrapper(
        BufferedWriter(Output(given.fileno(), "w", closefd=False)),
        given.encoding,
        given.errors,
        line_buffering=given.line_buffering,
        write_through=given.write_through,
    )
