"""The command line: plugins add the commands; this module runs one and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
import typer.core

from harness.cli.arguments import Plugins, load
from harness.cli.output import errors, log_shown
from harness.errors import ArgumentError, ExitCode, HarnessError
from harness.registry.isolation import call


class _Root(typer.core.TyperGroup):
    """The list of commands in plain text: typer's own would import rich's Markdown, a third of the whole time."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help as click does."""
        mode, self.rich_markup_mode = self.rich_markup_mode, None
        try:
            super().format_help(ctx, formatter)
        finally:
            self.rich_markup_mode = mode


app = typer.Typer(
    name="harness",
    cls=_Root,
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


def main() -> None:
    """Entry point of the ``harness`` command; ends the process with an ``ExitCode``."""
    # Added anew each time: a process may call this more than once.
    app.registered_commands.clear()
    app.registered_groups.clear()
    try:
        with log_shown():
            call(load().manager, "harness_commands", app=app)
            app()
    except HarnessError as error:
        from rich.markup import escape

        text = error.as_flag if isinstance(error, ArgumentError) else str(error)
        errors().print("[bold red]error:[/]", escape(text), soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors().print("interrupted; what had finished is recorded")
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`harness list | head`): print nothing more, not even on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)
