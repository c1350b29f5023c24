"""Run every benchmark in this folder, or those named on the command line: `python benchmarks import_cost decode`.

Options go to the one that is named before them: `python benchmarks many_rows --rows 1000 2000`. Without names,
`--help` lists them all.
"""

import ast
import runpy
import sys
from itertools import takewhile
from pathlib import Path

SCRIPTS = {script.stem: script for script in sorted(Path(__file__).parent.glob("[!_]*.py"))}


def listed() -> str:
    """Name each benchmark, with the first line of what it says of itself."""
    said = {name: ast.get_docstring(ast.parse(script.read_text())) or "" for name, script in SCRIPTS.items()}
    return "\n".join(f"{name:<20}{text.partition(chr(10))[0]}" for name, text in said.items())


def main(arguments: list[str]) -> None:
    """Run the benchmarks one after another, each as a script of its own."""
    names = list(takewhile(lambda each: not each.startswith("-"), arguments))
    options = arguments[len(names) :]
    usage = f"python benchmarks [NAME...] or NAME [OPTION...], where the names are:\n\n{listed()}"
    if arguments == ["--help"]:
        print(usage)
        return
    if not set(names) <= SCRIPTS.keys() or (options and len(names) != 1):
        sys.exit(usage)
    sys.argv[1:] = options
    for name in names or SCRIPTS:
        print(f"== {name}", flush=True)
        runpy.run_path(str(SCRIPTS[name]), run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
