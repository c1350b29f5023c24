"""For people who test code that runs models: recordings, and suites that plugins can be held against."""

from __future__ import annotations

from replicate_kit.testing.cassette import Cassette, CassetteError
from replicate_kit.testing.files import FileServer

__all__ = ["Cassette", "CassetteError", "FileServer"]
