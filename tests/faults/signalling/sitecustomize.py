"""Signals that a process sends itself at an event. Python imports this module as it starts, from $PYTHONPATH.

$SIGNAL_AT is "MODULE:FUNCTION", where FUNCTION may be "<module>", the module's first line; or a number N, the Nth call
of any function. $SIGNAL_NUMBERS are the signals, sent one after the other. $SIGNAL_CALLS is a file for the number of
calls.
"""

import atexit
import os
import sys
from pathlib import Path

# Processes that this one starts send themselves nothing.
AT = os.environ.pop("SIGNAL_AT", "")
NUMBERS = [int(number) for number in os.environ.pop("SIGNAL_NUMBERS", "").split()]
CALLS = os.environ.pop("SIGNAL_CALLS", "")
calls = 0


def send(numbers):
    """Send the signals; a handler may raise an exception meanwhile."""
    if numbers:
        try:
            os.kill(os.getpid(), numbers[0])
        finally:
            send(numbers[1:])


def at_call(frame, event, _):
    """Send the signals when the call comes: a profile function."""
    global calls
    # None while Python shuts down.
    module = frame.f_globals.get("__name__") or ""
    if event == "call" and not module.startswith("encodings"):
        calls += 1
        where = f"{module}:{frame.f_code.co_name}"
        if AT in (where, str(calls)):
            sys.setprofile(None)
            send(NUMBERS)


if CALLS:
    atexit.register(lambda: Path(CALLS).write_text(str(calls), encoding="utf-8"))
if AT or CALLS:
    sys.setprofile(at_call)
