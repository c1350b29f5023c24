"""Looks at the Python blocks of README and docs with ruff: an editor must not remove an import that an example needs,
nor show one that it does not.

    python tests/lint_examples.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]
RULES = "F401,F811"  # imports without a use, and twice
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def code_of(page: Path) -> str:
    """Give the blocks of a page as one script, each line where it is on the page: they go on from each other."""
    text = page.read_text("utf-8")
    lines = [""] * text.count("\n")
    for found in _BLOCK.finditer(text):
        first = text.count("\n", 0, found.start(1))
        block = found[1].splitlines()
        lines[first : first + len(block)] = block
    return "\n".join(lines) + "\n"


def main() -> int:
    """Check every page; tell how many have something to complain about."""
    bad = 0
    for page in PAGES:
        name = page.relative_to(ROOT).with_suffix(".py")
        command = ["ruff", "check", "--isolated", "--quiet", "--target-version", "py311", "--select", RULES]
        command += ["--output-format", "concise", "--stdin-filename", str(name), "-"]
        bad += subprocess.run(command, input=code_of(page), text=True, check=False).returncode != 0
    return bad


if __name__ == "__main__":
    sys.exit(main())
