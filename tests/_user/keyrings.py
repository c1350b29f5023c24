"""Keyrings that live in a file of JSON, whose name is in the environment: for tests, and programs that they start."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class Open(KeyringBackend):
    """Keeps passwords."""

    priority = 0  # type: ignore[assignment] # never chosen by itself
    name = "Open"  # type: ignore[assignment]

    def _passwords(self) -> dict[str, Any]:
        path = Path(os.environ["KEYRING_OF_TEST"])
        return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]

    def _write(self, passwords: dict[str, Any]) -> None:
        Path(os.environ["KEYRING_OF_TEST"]).write_text(json.dumps(passwords))

    def get_password(self, service: str, username: str) -> str | None:
        return self._passwords().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._passwords(), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        passwords = self._passwords()
        if passwords.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError("there is none")
        self._write(passwords)


class Usable(Open):
    """One that counts as a keyring."""

    priority = 5  # type: ignore[assignment]


class Locked(Usable):
    """Gives nothing."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("nobody unlocked it")


class Shut(Locked):
    """Gives nothing, takes nothing, and lets go of nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked("nobody unlocked it")

    def delete_password(self, service: str, username: str) -> None:
        raise KeyringLocked("nobody unlocked it")


class Sticky(Locked):
    """Takes passwords, gives none, and lets go of none."""

    def delete_password(self, service: str, username: str) -> None:
        raise KeyringLocked("nobody unlocked it")


class Other(Usable):
    """Another one."""

    name = "Other"  # type: ignore[assignment]


class Forgetful(Usable):
    """Takes passwords, and gives none."""

    def get_password(self, service: str, username: str) -> str | None:
        return None
