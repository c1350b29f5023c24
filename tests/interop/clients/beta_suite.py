"""A plugin for pytest with which the tests of `replicate` 2.0 run against a server in place of a stub of answers.

The stub forgets what it was told. So the server begins again after each test that made or deleted something.
"""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

import pytest

CONTROL = os.environ["TEST_API_BASE_URL"].removesuffix("/v1") + "/_control"
# A model can be deleted only once it has no versions, of which the other tests need one.
WITHOUT_VERSIONS = {"models": [{"owner": "model_owner", "name": "model_name", "visibility": "private"}]}
_CHANGES = ("create", "delete")


def tell(path: str, body: Any) -> None:
    """Send something to the server's control path."""
    request = urllib.request.Request(f"{CONTROL}/{path}", json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        answer.read()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what is skipped only because of the stub, which is called prism."""
    for item in items:
        for node in item.listchain():
            node.own_markers[:] = [each for each in node.own_markers if "Prism" not in str(each.kwargs)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Delete only what can be deleted."""
    if item.path.name == "test_models.py" and "_delete" in item.name:
        tell("records", WITHOUT_VERSIONS)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Begin again."""
    if any(each in item.name for each in _CHANGES):
        tell("reset", {})
