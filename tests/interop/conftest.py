"""These tests need the packages of the tox environment `interop`; without them there is nothing to compare with."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

try:
    version("replicate"), version("trustme")
except PackageNotFoundError:
    collect_ignore_glob = ["test_*.py"]
