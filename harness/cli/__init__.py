"""The command line: ``main`` runs one command, which a plugin has added (``application``)."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the ``harness`` command; ends the process with an ``ExitCode``."""
    # First what must be ready when the imports of a command are interrupted, or open a file.
    from harness.cli import streams
    from harness.running import signals

    streams.open_closed()
    restore_signals = signals.install()
    try:
        streams.guard()
        from harness.cli.application import run

        code = run()
    finally:
        restore_signals()
    sys.exit(code)
