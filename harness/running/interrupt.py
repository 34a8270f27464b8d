"""Ctrl-C during a run: once ends after the running cells, twice at once."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed. A second Ctrl-C raises KeyboardInterrupt.

    Outside the main thread, where signals cannot be handled, Ctrl-C keeps its usual meaning.
    """
    pressed = False

    def on_signal(number: int, frame: object) -> None:  # noqa: ARG001  the signature is signal's
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        _log.info("\nstopping after the running cells; Ctrl-C again stops at once")

    try:
        before = signal.signal(signal.SIGINT, on_signal)
    except ValueError:
        yield lambda: False
        return
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
