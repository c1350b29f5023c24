"""Saving keeps its promises on real object stores: whole or not at all, and nothing is lost."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from replicate_kit import Client, SaveTo
from replicate_kit._runtime.blocking import run
from replicate_kit.errors import FileError
from replicate_kit.simulator import Simulator
from replicate_kit.storage import StoredFile
from replicate_kit.stores._saving import check_target, record_files, store_outputs
from replicate_kit.testing import FileServer
from replicate_kit_fsspec import manifest

from .servers import Store

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
BIG = os.urandom(12 * 2**20 + 7)  # more than one part on every store

# gcsfs and adlfs hand their blocks to aiohttp as bytes, which it would rather have otherwise.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

Save = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture
def save(client: Client, store: Store) -> Save:
    """Saves an output to the store: a function of it, and of what is special about it."""

    def saving(output: Any, folder: str = "", **options: Any) -> Coroutine[Any, Any, Any]:
        save_to = SaveTo(store.url + folder, **{"options": store.options, **options.pop("save_to", {})})
        known = {"prediction_id": "p1", "model": "acme/draw", **options}
        return store_outputs(output, folder=save_to, session=client.session, **known)

    return saving


@pytest.mark.parametrize("content", [b"", PNG, BIG], ids=["empty", "small", "multipart"])
def test_file_arrives_whole(output: Any, save: Save, store: Store, content: bytes) -> None:
    records: list[StoredFile] = []
    file = output("out.png", content, "image/png")
    url = run(save(file, "/a folder/b", on_stored=records.append))
    assert url == f"{store.url}/a folder/b/p1.png"
    assert store.fs.cat_file(url) == content
    assert (records[0].size, records[0].sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert store.names() == ["a folder/b/p1.png"]


def test_every_driver_saves(output: Any, save: Save, store: Store, drive: Any) -> None:
    made = [output("a.png", PNG, "image/png"), output("b.png", BIG, "image/png")]
    assert drive(save(made)) == [f"{store.url}/p1-0.png", f"{store.url}/p1-1.png"]
    assert store.fs.cat_file(f"{store.url}/p1-1.png") == BIG


def test_store_knows_type_and_prediction(output: Any, save: Save, store: Store) -> None:
    url = run(save(output("out", PNG, "image/png"), version="v1"))
    told = str(store.details(url))
    assert "image/png" in told
    if store.keeps_metadata:
        assert "p1" in told
        assert "acme/draw" in told


@pytest.mark.parametrize("content", [PNG, BIG], ids=["small", "multipart"])
def test_source_that_breaks_off_for_good_leaves_nothing(
    output: Any, save: Save, store: Store, files: FileServer, content: bytes
) -> None:
    file = output("out.png", content, Content_Range="bytes 0-1/2")
    files.breaks["out.png"] = [len(content) - 5]
    with pytest.raises(FileError, match="cannot be continued"):
        run(save(file))
    assert store.names() == []
    assert store.unfinished() == []


def test_source_that_breaks_off_is_resumed(output: Any, save: Save, store: Store, files: FileServer) -> None:
    file = output("out.png", BIG)
    files.breaks["out.png"] = [9 * 2**20, 2**20]
    assert store.fs.cat_file(run(save(file))) == BIG
    assert [each.range for each in files.asked] == [None, "bytes=9437184-", "bytes=10485760-"]


class TestWhereANameIsTaken:
    """What `if_exists` does."""

    @pytest.fixture(autouse=True, params=[PNG, BIG], ids=["small", "multipart"])
    def _before(self, request: pytest.FixtureRequest, output: Any, save: Save) -> None:
        self.before: bytes = request.param
        run(save(output("first.png", self.before)))

    def test_overwrite_replaces_it(self, output: Any, save: Save, store: Store) -> None:
        assert store.fs.cat_file(run(save(output("second.png", b"new")))) == b"new"

    def test_skip_keeps_it(self, output: Any, save: Save, store: Store) -> None:
        url = run(save(output("second.png", b"new"), save_to={"if_exists": "skip"}))
        assert store.fs.cat_file(url) == self.before

    def test_error_keeps_it(self, output: Any, save: Save, store: Store) -> None:
        with pytest.raises(FileError, match="is there already"):
            run(save(output("second.png", b"new"), save_to={"if_exists": "error"}))
        assert store.fs.cat_file(f"{store.url}/p1.png") == self.before

    def test_store_itself_refuses_where_it_can(
        self, output: Any, save: Save, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from replicate_kit_fsspec.locations import StoreLocation

        monkeypatch.setattr(StoreLocation, "size", lambda self: None)  # nobody sees the other coming
        run(save(output("second.png", self.before[::-1]), save_to={"if_exists": "skip"}))
        kept = store.fs.cat_file(f"{store.url}/p1.png") == self.before
        assert kept is store.exclusive


def test_names_by_content_are_known_before_the_store_is_asked(output: Any, save: Save, store: Store) -> None:
    made = [output("a.png", BIG), output("b.png", BIG)]
    urls = run(save(made, save_to={"name": "{sha256}{ext}", "if_exists": "skip"}))
    name = hashlib.sha256(BIG).hexdigest() + ".png"
    assert urls == [f"{store.url}/{name}"] * 2
    assert store.names() == [name]
    assert store.fs.cat_file(urls[0]) == BIG


@pytest.mark.parametrize("server", ["azurite", "rclone"], indirect=True)  # the others accept any
def test_wrong_credentials_are_told_and_nothing_is_lost(output: Any, save: Save, store: Store) -> None:
    file = output("out.png", BIG)
    with pytest.raises(FileError, match="Check its credentials and their rights"):
        run(save(file, save_to={"options": store.wrong}))
    assert store.names() == []
    assert store.fs.cat_file(run(save(file))) == BIG


def test_bucket_that_is_not_there_is_told(output: Any, client: Client, store: Store) -> None:
    folder = f"{store.url}-that-nobody-made"
    with pytest.raises(FileError, match="File 0 of the prediction p1 could not be stored"):
        run(
            store_outputs(
                output("out.png", BIG),
                folder=folder,
                options=store.options,
                prediction_id="p1",
                model=None,
                session=client.session,
            )
        )


def test_target_is_checked_without_a_word_to_it(client: Client, store: Store) -> None:
    run(check_target(store.url, client.session, store.options))
    assert store.names() == []


def test_manifest_and_verification(output: Any, client: Client, save: Save, store: Store) -> None:
    records: list[StoredFile] = []
    run(save([output("a.png", PNG), output("b.png", BIG)], "/set", on_stored=records.append))
    save_to = SaveTo(f"{store.url}/set", manifest=True, options=store.options)
    for each in records:
        run(record_files([each], save_to, client.session))
    assert [each.problem for each in manifest.verify(save_to.folder, store.options)] == [None, None]
    store.fs.pipe_file(f"{store.url}/set/p1-1.png", BIG[:-1])
    problems = [each.problem for each in manifest.verify(save_to.folder, store.options, quick=True)]
    assert problems == [None, f"{len(BIG) - 1} bytes instead of {len(BIG)}"]


def test_known_file_that_is_still_there_is_not_transferred_again(
    output: Any, save: Save, store: Store, files: FileServer
) -> None:
    records: list[StoredFile] = []
    file = output("a.png", BIG)
    run(save(file, on_stored=records.append))
    files.asked.clear()
    assert run(save(file, stored=records)) == f"{store.url}/p1.png"
    assert files.asked == []


def test_file_in_the_store_is_an_input(store: Store) -> None:
    import fsspec

    store.fs.pipe_file(f"{store.url}/in/mystery.png", BIG)
    with Client(backend=Simulator()) as mock:
        opened = fsspec.open(f"{store.url}/in/mystery.png", **store.options)
        url = run(mock.session.encode({"image": opened}))["image"]
        (file,) = mock.files.list()
    assert (url, file.size, file.name) == (file.url, len(BIG), "mystery.png")
    assert file.checksums["sha256"] == hashlib.sha256(BIG).hexdigest()


SAVING = """
import json, sys
from replicate_kit import Client, FileOutput
from replicate_kit._runtime.blocking import run
from replicate_kit.stores._saving import store_outputs
api, url, folder, options = json.loads(sys.argv[1])
with Client(backend="http", base_url=api) as client:
    output = FileOutput(url, client.session)
    run(store_outputs(output, folder=folder, prediction_id="p1", model=None, session=client.session, options=options))
"""


def test_process_that_is_killed_leaves_nothing_under_a_final_name(
    store: Store, files: FileServer, output: Any, save: Save
) -> None:
    import json

    file = output("out.png", BIG)
    files.stalls["out.png"] = 10 * 2**20
    arguments = json.dumps([files.url, str(file), store.url, store.options])
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SAVING), arguments])
    assert files.stalled.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert store.names() == []
    files.stalls.clear()
    assert store.fs.cat_file(run(save(file))) == BIG
    assert store.names() == ["p1.png"]
