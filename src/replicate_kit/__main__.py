"""`replicate-kit` and `python -m replicate_kit`: the command line, where its extra is installed."""

from __future__ import annotations

import sys

__all__ = ["main"]

_PARTS = frozenset({"click", "rich"})


def main() -> None:
    """Run the command line; say how to install it where it is missing."""
    try:
        from replicate_kit.cli import cli
    except ModuleNotFoundError as error:
        if error.name not in _PARTS:
            raise
        sys.exit(
            f'The command line needs {error.name}. Install it with: pip install "replicate-kit[cli]"\n'
            "The Python package works without it: import replicate_kit"
        )
    cli(prog_name="replicate-kit")


if __name__ == "__main__":
    main()
