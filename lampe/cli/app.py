"""`lampe`, and what every command does with bad input, warnings and Ctrl-C."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lampe.cli import calibrate, chat, compare, convert, evaluate, generate, inspect, listing
from lampe.cli.console import INTERRUPTED, dim_warnings, print_error

BAD_INPUT = 2

# click is a dependency of older typer and a part of newer typer: its exceptions are reached through the one that typer
# has always exported.
ClickException: type[Exception] = typer.BadParameter.__mro__[2]


class LampeGroup(TyperGroup):
    """A group whose bad input becomes one sentence on stderr and exit code 2."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; `LAMPE_TRACEBACK=1` lets errors through."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # a model may write what the terminal's encoding lacks
            sys.stdout.reconfigure(errors="replace")
        try:
            with dim_warnings():
                code = super().main(args, prog_name or "lampe", complete_var, False, windows_expand_args, **extra)
        except (typer.Abort, KeyboardInterrupt):
            sys.exit(INTERRUPTED)
        except (ClickException, ValueError, OSError) as error:
            if os.environ.get("LAMPE_TRACEBACK"):
                raise
            print_error(_sentence(error))
            sys.exit(BAD_INPUT)
        sys.exit(code if isinstance(code, int) else 0)


def _sentence(error: Exception) -> str:
    if isinstance(error, ClickException):
        return str(error.format_message())  # type: ignore[attr-defined]
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


app = typer.Typer(
    name="lampe",
    cls=LampeGroup,
    help="Long context in PyTorch: run a checkpoint past its trained window, with interchangeable positional methods.",
    epilog="Bad input ends with exit code 2 and one sentence; LAMPE_TRACEBACK=1 shows where it came from.",
    add_completion=False,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from lampe import __version__

        typer.echo(f"lampe {__version__}")
        raise typer.Exit


@app.callback()
def _lampe(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command()(generate.generate)
app.command()(chat.chat)
app.command("list")(listing.list_registered)
app.command()(inspect.inspect)
app.command()(convert.convert)
app.add_typer(evaluate.app)
app.command(cls=compare.CompareCommand)(compare.compare)
app.command("calibrate")(calibrate.calibrate_command)
