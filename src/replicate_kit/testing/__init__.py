"""For people who test code that runs models: fixtures for pytest, recordings, and suites to hold plugins against.

`replicate_mock` and `replicate_server` are there wherever pytest and this package are installed. The suites are in
`replicate_kit.testing.suites`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit._lazy import loader

if TYPE_CHECKING:
    from replicate_kit.testing._cassette import Cassette, CassetteError
    from replicate_kit.testing._files import FileServer
    from replicate_kit.testing._mocking import ReplicateMock, mocked, served

__all__ = ["Cassette", "CassetteError", "FileServer", "ReplicateMock", "mocked", "served"]

# pytest imports this package in every session, to find the fixtures: nothing is loaded before it is used.
_ORIGINS = {
    "Cassette": "_cassette",
    "CassetteError": "_cassette",
    "FileServer": "_files",
    "ReplicateMock": "_mocking",
    "mocked": "_mocking",
    "served": "_mocking",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = loader(__name__, _ORIGINS)
