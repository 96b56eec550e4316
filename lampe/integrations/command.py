"""Commands of other projects that know lampe."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from lampe.cli.app import BAD_INPUT
from lampe.cli.console import print_error
from lampe.errors import LampeError


def lm_eval() -> None:
    """Run the lm-evaluation-harness's own command with the arguments of this process; it knows the model "lampe"."""
    try:
        # Registers the model; and says which extra is missing, where one is, before the harness is imported.
        import_module("lampe.integrations.lm_eval")
        from lm_eval.__main__ import cli_evaluate

        cli_evaluate()
    except LampeError as error:
        if os.environ.get("LAMPE_TRACEBACK"):
            raise
        print_error(str(error))
        sys.exit(BAD_INPUT)
