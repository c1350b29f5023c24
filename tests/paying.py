"""The paid API of `paid_api.py`, or another script with its arguments and manners, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["BAD_MANNERS", "MODEL", "PaidApi", "paid_api"]

MODEL = "acme/paid"
BAD_MANNERS = {"list_lag": 1.5, "answer_late": [0.05, 2.0], "reset_after": 0.02}
"""Lists show predictions late; some creates are answered late, and some never."""

_SCRIPT = Path(__file__).with_name("paid_api.py")


class PaidApi:
    """It answers at `url`."""

    def __init__(self, url: str, payments: Path) -> None:
        self.url, self._payments = url, payments

    def paid(self, tag: str) -> list[str]:
        """The prompt of each payment for a prompt that begins with a tag."""
        lines = self._payments.read_text().splitlines()
        prompts = (json.loads(line).get("input", {}).get("prompt", "") for line in lines)
        return [each for each in prompts if each.startswith(f"{tag} ")]


@contextmanager
def paid_api(manners: dict[str, Any], script: str | Path = _SCRIPT) -> Iterator[PaidApi]:
    """Run it for a block."""
    with tempfile.TemporaryDirectory() as folder:
        payments = Path(folder, "payments")
        command = [sys.executable, str(script), "0", str(payments), json.dumps(manners)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            try:
                assert running.stdout
                yield PaidApi(running.stdout.readline().strip(), payments)
            finally:
                running.kill()
