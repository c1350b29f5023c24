"""The tests that `replicate` 2.0 has of its own, against a server that has the ids that they name.

Its package of sources is fetched when the test runs, and the Python of INTEROP_BETA has what its tests need.
"""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from replicate_kit.serving import Server

HERE = Path(__file__).parent
BETA = os.environ.get("INTEROP_BETA", "")
FETCH = [
    "--no-deps",
    "--no-binary",
    ":all:",
    "--no-build-isolation",
    "--quiet",
    "--disable-pip-version-check",
]

REFUSED = {
    "test_trainings.py::test_method_create_with_all_params": "its webhook is `webhook`, which is no URL",
}
"""What the server refuses, and why: webhooks go to a URL."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package's sources."""
    if not BETA:
        pytest.skip("INTEROP_BETA names no Python with replicate 2.0; tox's environment `interop` does.")
    folder = tmp_path_factory.mktemp("beta")
    command = [BETA, "-m", "pip", "download", *FETCH, "--dest", str(folder), "replicate==2.0.0b4"]
    fetched = subprocess.run(command, capture_output=True, text=True, check=False)
    if fetched.returncode:
        pytest.skip(f"The sources of replicate 2.0.0b4 cannot be had: {fetched.stderr[-300:]}")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / "replicate-2.0.0b4"


def test_the_suite_of_the_beta_passes(sources: Path) -> None:
    # Webhooks are for example.com: they stay here.
    records = HERE / "records" / "beta.json"
    with Server(records=records, demo=False, https=False, webhook_sender=lambda _: 204) as server:
        done = subprocess.run(
            [
                BETA,
                "-m",
                "pytest",
                "-q",
                "-rf",
                "-n0",
                "-p",
                "beta_suite",
                "-p",
                "no:cacheprovider",
                "tests/api_resources",
            ],
            cwd=sources,
            env={
                **os.environ,
                "PYTHONPATH": str(HERE / "clients"),
                "TEST_API_BASE_URL": f"{server.url}/v1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    failed = re.findall(
        r"^(?:FAILED|ERROR) tests/api_resources/(\S+?)::\w+::(\w+)", done.stdout, re.MULTILINE
    )
    assert {f"{file}::{test}" for file, test in failed} == set(REFUSED), done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-3000:]
    assert int(passed[1]) >= 710
