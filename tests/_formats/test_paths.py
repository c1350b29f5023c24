"""Paths and URLs: neither is taken for the other without a word."""

from __future__ import annotations

from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from upath import UPath

from replicate_kit import Client, SaveTo, gallery
from replicate_kit.batch import journals
from replicate_kit.errors import ConfigError, InputError, JournalError

URLS = (
    "s3://b/p",
    "gs://b",
    "az://c/p",
    "memory://x",
    "https://a.test/b",
    "file:///tmp/x",
    "simplecache::s3://b/p",
)
COLLAPSED = [kind(url) for url in URLS for kind in (PurePosixPath, PureWindowsPath, Path)] + [
    *(PureWindowsPath("gs:/b"), PurePosixPath("gs:/b"), Path("S3://b/p/{row}{ext}"), "s3:/b/p", r"s3:\b\p"),
]


@pytest.mark.parametrize("path", COLLAPSED, ids=repr)
def test_a_url_that_became_a_path_is_no_folder_to_save_to(
    path: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"neither a URL nor the name of a folder. Write '\w+:") as caught:
        Client(backend="mock").run("demo/painter", {"prompt": "a wombat"}, save_to=path)
    assert "://" in str(caught.value)
    with pytest.raises(ConfigError, match="neither a URL nor the name of a folder"):
        Client(backend="mock").map("demo/painter", [{"prompt": "a wombat"}], save_to=path)
    with pytest.raises(ConfigError, match="neither a URL nor the name of a folder"):
        SaveTo(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        "pictures",
        Path("a/b"),
        PurePath("/a:b/c"),
        "a:b",
        "C:/a",
        PureWindowsPath("C:/a"),
        PureWindowsPath(r"\\s\a\b"),
    ],
    ids=repr,
)
def test_other_paths_are_folders(path: Any) -> None:
    assert SaveTo.of(path).folder == str(path)


@pytest.mark.parametrize("url", ["memory://bucket/pictures", "memory://bucket/{row}{ext}"])
def test_a_path_of_universal_pathlib_is_the_url_that_it_stands_for(url: str) -> None:
    assert str(SaveTo.of(UPath(url))) == url
    assert SaveTo.of(UPath("memory://b", x=1), {"y": 2}).options == {"x": 1, "y": 2}
    assert SaveTo.of(UPath("/tmp/a")).folder == "/tmp/a"


@pytest.mark.parametrize("url", ["https://a.test/x.png", "s3://b/x.png", "file:///tmp/x.png"])
def test_a_url_that_became_a_path_is_no_input(url: str) -> None:
    with pytest.raises(InputError, match=f"pathlib has made it of a URL. Pass it as the text '{url}'"):
        Client(backend="mock").run("andreasjansson/blip-2", {"image": Path(url)})


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("url", ["https://a.test/x.png", "s3://b/x.png", "memory://x.png"])
def test_a_file_or_page_is_not_written_to_a_url(
    url: str, kind: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (output,) = Client(backend="mock").run("demo/painter", {"prompt": "a wombat"})
    with pytest.raises(ConfigError, match="is a URL"):
        output.save(kind(url))
    with pytest.raises(ConfigError, match="is a URL"):
        gallery.write(kind(url), {})
    assert list(tmp_path.iterdir()) == []


NO_JOURNALS: dict[str, Any] = {
    **dict.fromkeys(
        (each for each in URLS if not each.startswith("memory:")), "is a URL"
    ),  # of which there is a store
    **dict.fromkeys(("mysql://u:secret@h/db", "redis://h", "sqlite:///a.db", "s3://b"), "is a URL"),
    **dict.fromkeys(
        ("sqlite://", "SQLite:a.db", "postgresql+psycopg://h/db", "file:a.db", "s3:/b/p"), "is a URL"
    ),
    **dict.fromkeys(
        (":memory:", ":MEMORY:", " :memory: ", "file::memory:?a=b", "sqlite://:memory:"), "be lost"
    ),
    **dict.fromkeys(("", " ", "\t", "a\0b"), "is not the path of a file"),
    **dict.fromkeys(("folder/", "./"), "is a folder"),
}


@pytest.mark.parametrize("given", NO_JOURNALS, ids=repr)
def test_what_is_no_file_is_no_journal(given: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    client = Client(backend="mock")
    for use in (client.map, client.async_map, client.plan):
        with pytest.raises(ConfigError, match=NO_JOURNALS[given]) as caught:
            use("demo/poet", [{"prompt": "sea"}], journal=given)
        assert "secret" not in str(caught.value)
        assert "file" in str(caught.value)
    with pytest.raises(ConfigError, match=NO_JOURNALS[given]):
        journals.describe(given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "given", [7, True, ["a"], Path("postgresql://u@h/db"), PureWindowsPath("s3://b"), object()]
)
def test_what_is_no_path_is_no_journal(given: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="SQLite file on a local disk: pass its path"):
        Client(backend="mock").map("demo/poet", [{"prompt": "sea"}], journal=given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["/dev/null", "/dev/full", "."])
def test_a_device_or_a_folder_is_no_journal(place: str) -> None:
    with pytest.raises(JournalError, match=r"is a (device or a pipe|folder)\. Pass a file"):
        list(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}], journal=place))


@pytest.mark.parametrize("name", ["a.sqlite", "run-12:30.sqlite", "ümlaut", b"bytes.sqlite", Path("a.db")])
def test_other_names_are_files(name: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(list(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}], journal=name))) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("option", ["journal", "save_to"])
def test_a_user_without_a_home_is_told(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as it does for such a user
    with pytest.raises(ConfigError, match=f"{option}='~/a' names the home folder, and this user has none"):
        list(Client(backend="mock").map("demo/painter", [{"prompt": "a"}], **{option: "~/a"}))


@pytest.mark.parametrize("option", ["--out", "--gallery", "--journal"])
@pytest.mark.parametrize("url", ["s3://b/a.csv", "https://a.test/a.csv", "gs:/b/a.csv"])
def test_the_command_line_writes_to_no_url(option: str, url: str, tmp_path: Path, monkeypatch: Any) -> None:
    from click.testing import CliRunner

    from replicate_kit.cli import cli as main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("prompt\na wombat\n")
    done = CliRunner().invoke(main, ["map", "demo/poet", "rows.csv", "--backend", "mock", option, url])
    assert done.exit_code == 2
    assert "is a URL" in done.output
    assert [each.name for each in tmp_path.iterdir()] == ["rows.csv"]
