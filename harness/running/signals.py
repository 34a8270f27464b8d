"""Signals that end a command: Ctrl-C, SIGTERM and SIGHUP.

While a command works, the first signal raises ``Stopped``, so that what is open gets closed. Before and after that, and
from the second signal on, the process ends at once: an exception in the middle of an import may be swallowed or
printed.

This module imports next to nothing: the process of the command loads it before everything else.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # typing's own would import typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

#: How a person, a scheduler and the end of a login stop a process. Not every system has all.
NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal has stopped the command; code that handles Ctrl-C handles this."""


class Handler:
    """Handles the signals of this process."""

    def __init__(self) -> None:
        #: Whether the handlers stay until the process ends.
        self.stays = False
        #: Whether a command works.
        self.working = False
        #: Whether ``Stopped`` waits for the end of a block.
        self.held_back = False
        #: The signal that has stopped the command, whatever became of its exception.
        self.received: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Stop the command, or end the process."""
        del frame
        if not self.working or self.received is not None:
            end_process(number)
        self.received = number
        if not self.held_back:
            raise Stopped


HANDLER = Handler()


def install(stays: bool = False) -> Callable[[], None]:
    """Handle the signals from now on; give a function that restores the handlers before.

    It restores nothing once this was called with ``stays``, as the process of the command does. A signal that this
    process was started to ignore, as by nohup, stays ignored. Outside the main thread, which alone can handle signals,
    nothing changes.
    """
    HANDLER.stays = HANDLER.stays or stays
    HANDLER.received = None
    before: dict[int, Any] = {}
    for number in NUMBERS:
        handler = signal.getsignal(number)
        if handler not in (signal.SIG_IGN, None, HANDLER):
            try:
                before[number] = signal.signal(number, HANDLER)
            except ValueError:
                break
    hook_before = sys.unraisablehook

    def on_unraisable(unraisable: Any) -> None:
        # Raised in a place that it cannot leave, such as a finaliser.
        if isinstance(unraisable.exc_value, Stopped) and HANDLER.received is not None:
            end_process(HANDLER.received)
        hook_before(unraisable)

    sys.unraisablehook = on_unraisable

    def restore() -> None:
        if not HANDLER.stays:
            sys.unraisablehook = hook_before
            for number, handler in before.items():
                signal.signal(number, handler)

    return restore


def end_process(number: int) -> None:
    """End this process at once, with the exit code that a shell gives to a process killed by the signal."""
    # If descriptor 2 was closed at the start, a file may have it now.
    if sys.__stderr__ is not None:
        # A progress bar hides the cursor.
        cursor = "\x1b[?25h" if os.isatty(2) and os.environ.get("TERM") != "dumb" else ""
        try:  # noqa: SIM105  contextlib may not be loaded yet
            os.write(2, f"{cursor}interrupted\n".encode())
        except OSError:
            pass
    os._exit(128 + number)
