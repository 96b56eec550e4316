"""The command line: one file for each command."""

from __future__ import annotations


def main() -> None:
    """Run `lampe` with the arguments of this process."""
    from lampe.cli.app import app

    app()
