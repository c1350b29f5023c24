"""`replicate-kit` and `python -m replicate_kit`: the command line, where its extra is installed."""

from __future__ import annotations

import sys

from replicate_kit.errors import MissingExtraError

__all__ = ["main"]


def main() -> None:
    """Run the command line; say how to install it where it is missing."""
    try:
        from replicate_kit.cli import cli
    except MissingExtraError as error:
        sys.exit(f"{error}\nThe Python package works without it: import replicate_kit")
    cli(prog_name="replicate-kit")


if __name__ == "__main__":
    main()
