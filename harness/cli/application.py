"""The application: plugins add the commands; ``run`` runs one of them and turns errors into exit codes."""

from __future__ import annotations

from typing import Any

import typer
import typer.core

from harness.cli.arguments import Plugins, load
from harness.cli.output import errors, log_shown
from harness.cli.streams import failure
from harness.errors import ArgumentError, ExitCode, HarnessError
from harness.registry.isolation import call
from harness.running.interrupt import working
from harness.running.signals import HANDLER


class _Escaped(Exception):
    """Carries an exception past typer, which would print "Aborted." or nothing, and end the process."""


class _Root(typer.core.TyperGroup):
    """The list of commands in plain text: typer's own would import rich's Markdown, a third of the whole time."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help as click does."""
        mode, self.rich_markup_mode = self.rich_markup_mode, None
        try:
            super().format_help(ctx, formatter)
        finally:
            self.rich_markup_mode = mode

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with working():
                return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, OSError) as error:
            raise _Escaped from error


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


def run() -> int:
    """Run the command that the arguments of this process name, and give the exit code."""
    # Added anew each time: a process may call this more than once.
    app.registered_commands.clear()
    app.registered_groups.clear()
    try:
        with log_shown():
            call(load().manager, "harness_commands", app=app)
            code = _run_command()
    except HarnessError as error:
        _print_error(error.as_flag if isinstance(error, ArgumentError) else str(error))
        code = error.exit_code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception:
        # A defect, unless the command failed because a signal stopped it.
        if HANDLER.received is None:
            raise
    if HANDLER.received is not None:
        code = ExitCode(128 + HANDLER.received)
        errors().print("stopped at once; what had finished is recorded, and the same command goes on from there")
    elif reason := failure():
        _print_error(f"stdout cannot be written: {reason}; what is recorded stays")
        code = code or ExitCode.CELLS_FAILED
    return code


def _run_command() -> int:
    """Let typer run the command; give the exit code that it would end the process with."""
    try:
        app()
    except SystemExit as ending:
        if isinstance(ending.code, str):
            _print_error(ending.code)
            return ExitCode.CELLS_FAILED
        return ending.code or ExitCode.OK
    except _Escaped as escaped:
        assert escaped.__cause__ is not None
        raise escaped.__cause__ from None
    return ExitCode.OK


def _print_error(text: str) -> None:
    from rich.markup import escape

    errors().print("[bold red]error:[/]", escape(text), soft_wrap=True)
