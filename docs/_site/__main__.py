"""Builds the site without a network, and checks it: `python -m docs._site [FOLDER]`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from docs._site.checks import faults
from docs._site.reference import with_reference
from docs._site.sources import ROOT, gather, pages


def main(folder: Path) -> int:
    """Build the site in a folder; say what is wrong with it."""
    sources, site = folder / "sources", folder / "html"
    gather(sources, with_reference(pages()))
    status = build_main(["-q", "-n", "-W", "--keep-going", "-c", str(ROOT / "docs"), str(sources), str(site)])
    if status:
        return status
    # Programs read Markdown better than pages: `llms.txt` tells them what there is (https://llmstxt.org).
    shutil.copytree(sources, site, dirs_exist_ok=True)
    shutil.copy(sources / "index.md", site / "llms.txt")
    found = faults(site, sources)
    print(*found or [f"The site is in {site}: open index.html."], sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:2] or ["build/site"])))
