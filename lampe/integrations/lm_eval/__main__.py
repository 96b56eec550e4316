"""`python -m lampe.integrations.lm_eval` is `lampe-lm-eval`."""

from __future__ import annotations

from lampe.integrations.command import lm_eval

if __name__ == "__main__":
    lm_eval()
