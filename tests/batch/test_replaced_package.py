"""A package that is replaced on disk while a run goes on: what a run needs is imported before money is spent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.served import Command

MODELS = """
from replicate_kit.simulator import model, sleep

@model("acme/pictures", workers=8)
def pictures(n: int) -> list[bytes]:
    sleep(0.05)
    if n == 3:
        raise ValueError("no")
    if n == 5:
        raise ValueError("Prediction interrupted; please retry (code: PA)")
    return [b"\\x89PNG\\r\\n\\x1a\\n" + bytes([n])]
"""

SCRIPT = """
import sys
from replicate_kit import BatchError, Client

url, folder, rest = sys.argv[1], sys.argv[2], sys.argv[3]
before = set()
client = Client("r8_any", backend="http", base_url=url, poll_interval=0.05, timeout=2.0)
rows = [{"n": number} for number in range(20)]
options = {"stop": {"errors": "raise"}, "leave": {}, "all": {}}[rest]
try:
    with client.map(
        "acme/pictures", rows, journal=f"{folder}/{rest}.sqlite", save_to=f"{folder}/{rest}", retries=1,
        progress=False, on_plan=lambda plan: before.update(sys.modules), **options
    ) as results:
        for result in results:
            if rest == "leave":
                break
except BatchError as error:
    str(error), error.results
print(sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("way", ["all", "stop", "leave"])
def test_nothing_is_imported_once_money_is_spent(tmp_path: Path, way: str) -> None:
    models = tmp_path / "models.py"
    models.write_text(MODELS, "utf-8")
    faults = (
        "*.create,calls=2,status=429,retry_after=0",
        "*.create,calls=4,cut=true,acted=true",
        "predictions.*,calls=9,status=500",
    )
    given = [each for fault in faults for each in ("--fault", fault)]
    with Command(tmp_path, str(models), "--quiet", *given) as (_, url, _):
        command = [sys.executable, "-c", SCRIPT, url, str(tmp_path), way]
        said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (said.stdout, said.stderr) == ("[]\n", "")
