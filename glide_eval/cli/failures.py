"""How a command ends when it can't go on: the one place where an error becomes a paragraph."""

from __future__ import annotations

import contextlib
import signal
import threading
import traceback
from collections.abc import Iterator
from types import FrameType

import click

STOPPED = "Stopped. What was made so far is kept."
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end; like Ctrl-C, with the signal's own exit status."""

    def __init__(self, number: int) -> None:
        """Stop because of this signal."""
        super().__init__()
        self.exit_status = 128 + number


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, unless they are handled or ignored."""
    taken: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        taken = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(number)


def told(error: BaseException) -> tuple[str, int]:
    """Return what to say of an error, and the exit status.

    Errors of our packages carry `exit_status` and a one-paragraph message. Of others, the message
    says what happened and where, and how to see the traceback.
    """
    stopped = error if isinstance(error, Stopped) else error.__cause__
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return STOPPED, getattr(stopped, "exit_status", 130)
    status = getattr(error, "exit_status", None)
    if isinstance(status, int):
        return f"glide-eval: {error}", status
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return (
            f"glide-eval: {where}{error.strerror}. A file or folder could not be read or written. "
            f"What was made so far is kept. Check the place, then run the command again.{_DEBUG}"
        ), 1
    if isinstance(error, MemoryError):
        return (
            "glide-eval: memory ran out. What was made so far is kept. Close other programs, or "
            f"ask for less at once, then run the command again.{_DEBUG}"
        ), 1
    return (
        f"glide-eval: something went wrong that has no message of its own: {_in_words(error)}. "
        "What was made so far is kept. This is a fault of the program: please report it." + _DEBUG
    ), 1


_DEBUG = " `glide-eval --debug COMMAND …` shows the traceback."


def _in_words(error: BaseException) -> str:
    """The error's type and text on one line, and the line of code that raised it."""
    text = " ".join(str(error).split())[:200]
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    return type(error).__name__ + (f": {text}" if text else "") + where
