"""What cog, which runs models, names the files of inputs that come as data URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit._formats.file_names import _INLINE, _SAME
from replicate_kit._runtime.blocking import run

cog = pytest.importorskip("cog.types")


@pytest.mark.parametrize("suffix", [*_INLINE, *_SAME])
def test_cog_gives_a_file_in_a_data_url_the_suffix_that_it_had(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"content")
    with Client(backend="mock") as client:
        url = run(client.session.encode(path))
    assert url.startswith("data:")
    assert cog.get_filename(url) == f"file{_SAME.get(suffix, suffix)}"


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.srt", "a.md", "a.yaml", "a.gguf", "a.tar.gz", "a.parquet", "a.m4a"]
)
def test_what_cog_could_not_name_is_uploaded(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"content")
    with Client(backend="mock") as client:
        assert run(client.session.encode(path)).startswith("http")
