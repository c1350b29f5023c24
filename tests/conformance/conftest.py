"""These tests need schemathesis, which the tox environment `conformance` installs."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("schemathesis") is None:
    collect_ignore_glob = ["test_*.py"]
