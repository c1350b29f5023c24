"""Looks at the Python blocks of README and docs with ruff: an editor must not remove an import that an example needs,
nor show one that it does not.

    python tests/lint_examples.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]
RULES = "F401,F811"  # imports without a use, and twice
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def scripts_of(page: Path) -> Iterator[str]:
    """Give each block of a page as a script, each line where it is on the page: readers paste them one by one."""
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        yield "\n" * text.count("\n", 0, found.start(1)) + found[1]


def main() -> int:
    """Check every block; tell how many have something to complain about."""
    bad = 0
    for page in PAGES:
        name = page.relative_to(ROOT).with_suffix(".py")
        command = ["ruff", "check", "--isolated", "--quiet", "--target-version", "py311", "--select", RULES]
        command += ["--output-format", "concise", "--stdin-filename", str(name), "-"]
        for script in scripts_of(page):
            bad += subprocess.run(command, input=script, text=True, check=False).returncode != 0
    return bad


if __name__ == "__main__":
    sys.exit(main())
