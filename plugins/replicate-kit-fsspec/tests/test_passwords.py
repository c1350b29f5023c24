"""A password in the URL of a store is used, and is found nowhere else."""

from __future__ import annotations

import io
import logging
import traceback
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.cached import SimpleCacheFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from replicate_kit import Client, SaveTo, gallery
from replicate_kit._formats.redacting import redacted
from replicate_kit.errors import ReplicateError
from replicate_kit.storage import StoredFile, Target

CANARY = "CaNaRy-7f3a"
FOLDERS = [
    f"safe://me:{CANARY}@host/dir",
    f"safe://me:a@b@{CANARY}@host/dir",
    f"safe://me:{CANARY}%40x@[fe80:0:0:0:0:0:0:1]:21/dir",
    f"simplecache::safe://me:{CANARY}@host/dir",
    f"safe://host/dir?sig={CANARY}",
]


class Vault(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store that tells its URL in its errors, as many do."""

    protocol = "safe"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    broken = False
    given: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> Any:
        if path.startswith("safe://"):
            cls.given.append(path)
            path = "/" + path.rpartition("@")[2].removeprefix("safe://").partition("/")[2]
        return super()._strip_protocol(path.partition("?")[0])

    def _open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        if self.broken and kwargs.get("mode") == "wb":
            cause = ValueError(f"530 for {self.given[0]}")
            raise OSError(f"cannot log in with {CANARY}") from cause
        return super()._open(path, *args, **kwargs)


@pytest.fixture(autouse=True)
def vault(monkeypatch: pytest.MonkeyPatch) -> type[Vault]:
    fsspec.register_implementation("safe", Vault, clobber=True)
    monkeypatch.setattr(Vault, "store", {})
    monkeypatch.setattr(Vault, "given", [])
    monkeypatch.setattr(Vault, "broken", False)
    Vault.clear_instance_cache()
    SimpleCacheFileSystem.clear_instance_cache()  # they hold stores of tests before
    return Vault


def everything(folder: Path) -> bytes:
    return b"\n".join(each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file())


def stored() -> bytes:
    return b"\n".join(each.getvalue() for each in Vault.store.values())


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_run_keeps_and_shows_no_password(
    tmp_path: Path, folder: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    rows = [{"prompt": "sea"}, {"prompt": "hill"}]
    client, save_to = Client(backend="mock"), SaveTo(folder, manifest=True)
    options: Any = {"save_to": save_to, "journal": tmp_path / "j.sqlite", "progress": True}
    plans: list[Any] = []
    batch = client.map("demo/painter", rows, on_plan=plans.append, **options)
    results = [next(iter(batch))]
    while_open = everything(tmp_path)  # with the log
    results += batch
    assert all(each.error is None for each in results)
    assert any(CANARY in each for each in Vault.given)  # it was used
    gallery.write(tmp_path / "g.html", {"Rows": results})
    shown = f"{results} {plans} {save_to!r} {save_to} {caplog.text} {capsys.readouterr()}"
    for each in (
        f"{shown} {[each.files for each in results]}".encode(),
        while_open,
        everything(tmp_path),
        stored(),
    ):
        assert CANARY.encode() not in each
    renewed = folder.replace(CANARY, "new-one")
    again = client.plan("demo/painter", rows, save_to=renewed, journal=tmp_path / "j.sqlite")
    assert (again.cached, again.to_pay) == (2, 0)


def use(client: Client, how: str, folder: str) -> None:
    if how == "run":
        client.run("demo/painter", {"prompt": "sea"}, save_to=folder)
    elif how == "map":
        list(client.map("demo/painter", [{"prompt": "sea"}], save_to=folder))
    else:
        client.plan("demo/painter", [{"prompt": "sea"}], save_to=folder)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("how", ["run", "map", "plan"])
def test_no_error_tells_it_whatever_the_store_says(
    folder: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    Vault.broken = True
    client = Client(backend="mock")
    with pytest.raises(ReplicateError) as caught:
        use(client, how, folder)
    said = io.StringIO()
    traceback.print_exception(caught.value, file=said)
    assert CANARY not in f"{said.getvalue()} {caught.value!r} {caplog.text}"
    assert redacted(folder).partition("?")[0].rpartition("::")[2] in str(caught.value)


@pytest.mark.parametrize(
    "folder",
    [
        f"ftpx://me:{CANARY}@h/a",
        f"https://me:{CANARY}@h/a",
        f"ftp:/me:{CANARY}@h/a",
        f"ftp:me:{CANARY}@h/a",
        f"safe://me:{CANARY}@[::1]:21/a",
    ],
)
def test_neither_does_a_place_that_cannot_be(folder: str) -> None:
    with pytest.raises(ReplicateError) as caught:
        Client(backend="mock").run("demo/painter", {"prompt": "sea"}, save_to=folder)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_nothing_that_holds_the_place_shows_it() -> None:
    url = FOLDERS[0]
    for each in (
        SaveTo(url),
        SaveTo.of(url + "/{row}"),
        Target(folder=url, stem="a"),
        StoredFile(url=url, source=url),
    ):
        assert CANARY not in f"{each!r} {each}"
