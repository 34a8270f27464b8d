"""The command line. Each command stands in a module of its own; this one puts them together and ends them."""

from __future__ import annotations

import os
import sys

import typer

from harness.cli import data, listing, suite
from harness.cli.options import Plugins, load
from harness.cli.output import errors
from harness.errors import ExitCode, HarnessError
from harness.watchers import call_each

app = typer.Typer(
    name="harness",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Checks what papers claim about machine-learning techniques, on your own machine.",
)


@app.callback()
def _root(context: typer.Context, plugin: Plugins = None) -> None:
    context.obj = tuple(plugin or ())


for module in (listing, suite, data):
    module.add_to(app)


def main() -> None:
    """Entry point of the ``harness`` command; ends the process with an ``ExitCode``."""
    try:
        call_each(load().manager, "harness_commands", app=app)
        app()
    except HarnessError as error:
        errors().print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors().print("interrupted; what had finished is recorded")
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone (`harness list | head`); say nothing more, not even on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
