"""Blocks that a signal interrupts: a command's work, a run that ends after its running cells, what must be finished."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from harness.running.signals import HANDLER, Stopped

_log = logging.getLogger(__name__)


@contextmanager
def working() -> Iterator[None]:
    """Let the first signal raise ``Stopped`` in this block, where ``signals.install`` was called."""
    HANDLER.working = True
    try:
        yield
    finally:
        HANDLER.working = False


@contextmanager
def held_back() -> Iterator[None]:
    """Hold ``Stopped`` back until the end of this block."""
    HANDLER.held_back = True
    try:
        yield
    finally:
        HANDLER.held_back = False
    if HANDLER.working and HANDLER.received is not None:
        raise Stopped


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed. A second Ctrl-C raises KeyboardInterrupt.

    Outside the main thread, where signals cannot be handled, Ctrl-C keeps its usual meaning. Ignored, it stays so.
    """
    pressed = announced = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            before(number, frame)
        pressed = True

    def stop() -> bool:
        nonlocal announced
        # Not in the handler, which may interrupt the printing of something else.
        if pressed and not announced:
            announced = True
            _log.info("\nstopping after the running cells; Ctrl-C again stops at once")
        return pressed

    handler = signal.getsignal(signal.SIGINT)
    before = handler if callable(handler) else signal.default_int_handler
    if handler in (signal.SIG_IGN, None) or threading.current_thread() is not threading.main_thread():
        yield stop
        return
    signal.signal(signal.SIGINT, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, handler)
