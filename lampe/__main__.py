"""`python -m lampe` is `lampe`."""

from __future__ import annotations

from lampe.cli import main

if __name__ == "__main__":
    main()
