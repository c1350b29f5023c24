"""A service that counts what is created."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from replicate_kit import Client
from tests.served import Command

__all__ = ["Service", "served"]

_MODELS = """
from replicate_kit.simulator import model, sleep

@model("acme/quiet", workers=64)
def quiet(prompt: str, seconds: float = 0.2) -> str:
    sleep(seconds)
    return prompt.upper()

@model("acme/picky")
def picky(prompt: str) -> str:
    if prompt.endswith("3"):
        raise ValueError("I do not like that.")
    return prompt
"""


class Service:
    """A service at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = Client("r8_test", base_url=url, backend="http", timeout=3.0, poll_interval=0.1)

    def _told(self, path: str) -> dict[str, Any]:
        """What it tells of itself."""
        told: dict[str, Any] = httpx.get(f"{self.url}{path}", timeout=60).raise_for_status().json()
        return told

    @property
    def created(self) -> int:
        """How many predictions were created."""
        return int(self._told("/_control")["created"])

    def calls(self) -> dict[str, int]:
        """How often each operation was called."""
        return dict(self._told("/_control/calls")["calls"])

    def check_paid(self, count: int) -> None:
        """Each input was paid once."""
        prompts = [each["input"]["prompt"] for each in self._predictions()]
        assert len(prompts) == len(set(prompts)) == count == self.created

    def statuses(self) -> list[str]:
        """How the predictions are."""
        return [each["status"] for each in self._predictions()]

    def _predictions(self) -> list[dict[str, Any]]:
        """The predictions that it has."""
        found: list[dict[str, Any]] = []
        link: str | None = f"{self.url}/v1/predictions"
        while link:
            page = (
                httpx.get(link, headers={"Authorization": "Bearer r8_test"}, timeout=60)
                .raise_for_status()
                .json()
            )
            found += page["results"]
            link = page["next"]
        return found


@contextmanager
def served(folder: Path) -> Iterator[Service]:
    """Serve the models."""
    (folder / "models.py").write_text(_MODELS)
    with Command(folder, "models.py", "--quiet") as (_, url, _):
        service = Service(url)
        with service.client:
            yield service
