"""What cannot work in a local folder is told before anything is paid for, with and without the plugin for stores."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from replicate_kit import Client, SaveTo
from replicate_kit._runtime.blocking import run
from replicate_kit.cli import cli
from replicate_kit.errors import ConfigError, FileError, ReplicateError
from replicate_kit.simulator import Simulator
from replicate_kit.stores import manifest
from replicate_kit.stores._local import _PROTOCOLS
from replicate_kit.stores._saving import check_target

ROWS = [{"prompt": "sea"}, {"prompt": "hill"}]


@pytest.fixture
def simulator() -> Simulator:
    """A model that draws."""
    simulator = Simulator()

    @simulator.model("acme/draw")
    def draw(prompt: str) -> list[bytes]:
        return [b"\x89PNG\r\n\x1a\n" + prompt.encode()]

    return simulator


@pytest.fixture
def api(simulator: Simulator, plugins: str) -> Iterator[Client]:
    """A client of it."""
    with Client(backend=simulator, poll_interval=0.01) as client:
        yield client


def refused(
    api: Client, simulator: Simulator, kind: type[ReplicateError], match: str, **options: Any
) -> None:
    """See that run, map and plan refuse a folder before they create anything."""
    with pytest.raises(kind, match=match):
        api.plan("acme/draw", ROWS, **options)
    with pytest.raises(kind, match=match):
        list(api.map("acme/draw", ROWS, progress=False, **options))
    with pytest.raises(kind, match=match):
        api.run("acme/draw", ROWS[0], **options)
    assert simulator.created == 0


@pytest.mark.parametrize("folder", ["new", "file://new", "new/er/est"])
def test_folder_is_made_and_nothing_is_left_in_it(
    api: Client, tmp_path: Path, folder: str, drive: Any
) -> None:
    drive(check_target(SaveTo(folder, manifest=True, if_exists="error"), api.session))
    assert (tmp_path / "new").is_dir()
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


@pytest.mark.parametrize("below", ["", "/below"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_file_in_the_place_of_the_folder_is_refused(
    api: Client, simulator: Simulator, tmp_path: Path, below: str, scheme: str
) -> None:
    (tmp_path / "taken").touch()
    refused(api, simulator, FileError, "cannot be made", save_to=f"{scheme}{tmp_path}/taken{below}")


def test_folder_that_may_not_be_written_to_is_refused(
    api: Client, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode, **options: path != str(tmp_path / "a") and real(path, mode, **options),
    )
    refused(api, simulator, FileError, "may not be written to", save_to=tmp_path / "a")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EDQUOT, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("step", ["open", "write"])
def test_folder_in_which_no_file_can_be_made_is_told(
    api: Client,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: int,
    step: str,
) -> None:
    real = getattr(os, step)

    def fail(path: Any, *args: Any) -> Any:
        if str(path).endswith(".part") or args[:1] == (b"-",):
            raise OSError(number, os.strerror(number))
        return real(path, *args)

    monkeypatch.setattr(os, step, fail)
    said = f"may not be written to .*{os.strerror(number)}"
    refused(api, simulator, FileError, said, save_to=tmp_path / "a")
    assert os.listdir(tmp_path / "a") == []


@pytest.mark.parametrize("url", ["FOLDER", "file://FOLDER"])
def test_manifest_that_cannot_be_kept_is_told(
    api: Client, simulator: Simulator, tmp_path: Path, url: str
) -> None:
    (tmp_path / manifest.NAME).mkdir()
    save_to = SaveTo(url.replace("FOLDER", str(tmp_path)), manifest=True)
    refused(api, simulator, FileError, "is a folder: there can be no manifest", save_to=save_to)


def test_manifest_that_may_not_be_changed_is_told(
    api: Client, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / manifest.NAME).touch()
    monkeypatch.setattr(os, "access", lambda path, mode, **options: not str(path).endswith(manifest.NAME))
    save_to = SaveTo(str(tmp_path), manifest=True)
    refused(api, simulator, FileError, "may not be changed.*manifest=False", save_to=save_to)


@pytest.mark.parametrize(
    ("url", "options", "match"),
    [
        ("pictures", {"key": "hunter2"}, "file takes no 'key'. file takes: auto_mkdir"),
        ("pictures", {"endpoint_url": "hunter2"}, "file takes no 'endpoint_url'"),
        ("file://pictures", {"auto_mkdr": True}, "pass auto_mkdir instead"),
        ("local://pictures", {"auto_mkdr": True}, "local takes no 'auto_mkdr', pass auto_mkdir instead"),
        ("pictures", {"auto_mkdir": "yes"}, "'auto_mkdir' must be True or False, not str"),
        ("pictures", {"storage_options": {"auto_mkdir": True}}, "pass what is in it without it"),
        ("pictures", {"file": "hunter2"}, "'file' must be a dict with the options of file, not str"),
        ("pictures", {"file": {"key": "hunter2"}}, "file takes no 'key'"),
    ],
)
def test_options_that_a_folder_does_not_take_are_told(
    api: Client, simulator: Simulator, url: str, options: dict[str, Any], match: str
) -> None:
    refused(api, simulator, ConfigError, match, save_to=url, storage_options=options)
    with pytest.raises(ConfigError) as caught:
        api.plan("acme/draw", ROWS, save_to=url, storage_options=options)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{}, {"auto_mkdir": True}, {"file": {"auto_mkdir": False}}, {"skip_instance_cache": True}]
)
def test_options_that_a_folder_takes_are_taken(api: Client, options: Any) -> None:
    assert api.run("acme/draw", ROWS[0], save_to="pictures", storage_options=options)


@pytest.mark.parametrize(
    ("save_to", "match"),
    [
        ("s3:/bucket/x", "Write 's3://bucket/x', or './s3:/bucket/x'"),
        ("s3:bucket/x", "Write 's3://bucket/x'"),
        ("S3:bucket/x", "Write 's3://bucket/x'"),
        ("gs:bucket", "Write 'gs://bucket'"),
        ("az:container", "Write 'az://container'"),
        ("memory:/shelf", "Write 'memory://shelf'"),
        ("file:/tmp/x", "Write 'file:///tmp/x'"),
        ("file:x", "Write 'file://x'"),
        ("https:/example.com/x", "Write 'https://example.com/x'"),
        ("", "is empty"),
        (" ", "is empty"),
        (5, "must be a folder, a URL or a SaveTo, not int"),
        (b"pictures", "must be a folder, a URL or a SaveTo, not bytes"),
    ],
)
def test_places_that_cannot_be_meant_are_told(
    api: Client, simulator: Simulator, save_to: Any, match: str
) -> None:
    refused(api, simulator, ConfigError, re.escape(match), save_to=save_to)


def test_every_protocol_of_fsspec_is_told_from_a_folder() -> None:
    fsspec = pytest.importorskip("fsspec")
    internal = {"cached", "dask", "generic", "jlab", "jupyter", "pyscript", "tosfs"}
    wrappers = {"async_wrapper", "asyncwrapper", "asynclocal"}
    assert set(fsspec.available_protocols()) - internal - wrappers <= _PROTOCOLS


def test_template_is_checked_against_the_fields_that_there_are(api: Client) -> None:
    run(check_target("shelf/{prompt}", api.session, fields=["prompt"]))
    with pytest.raises(ConfigError, match="names colour"):
        run(check_target("shelf/{colour}", api.session, fields=["prompt"]))
    with pytest.raises(ConfigError, match="there are no rows here"):
        run(check_target("shelf/{row}", api.session, rows=False))


def _refused(path: str, *_: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["demo", "--fast", "--out", "taken"], "--out"),
        (
            ["run", "demo/painter", "prompt=sea", "--backend", "mock", "--save-to", "taken/pictures"],
            "--save-to",
        ),
    ],
)
def test_command_line_names_the_option_that_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], option: str
) -> None:
    if option == "--save-to":
        monkeypatch.setattr(os, "mkdir", _refused)
    else:
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken" / "pictures").touch()
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "cannot be made" in result.stderr
    assert f"Pass another one as {option}." in result.stderr
    assert "save_to" not in result.stderr
    assert option == "--save-to" or "--save-to" not in result.stderr
