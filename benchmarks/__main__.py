"""Run every benchmark in this folder, or those named on the command line: `python benchmarks import_cost`."""

import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main(names: list[str]) -> None:
    """Run the benchmarks one after another, each as a script of its own."""
    sys.argv[1:] = []  # the scripts have options of their own
    for script in sorted(FOLDER.glob("[!_]*.py")):
        if not names or script.stem in names:
            print(f"== {script.stem}", flush=True)
            runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
