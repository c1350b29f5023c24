"""Where journals are kept that nobody named, on machines without a home that can be written."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit.batch._ledger import places
from replicate_kit.errors import JournalError

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their folders have other names")

ROWS = [{"prompt": "sea"}]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("XDG_CACHE_HOME")
    places._tell.cache_clear()
    return folder


def home(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process a home of a kind."""
    monkeypatch.setenv("HOME", str(folder / "home"))
    if kind == "is a file":
        (folder / "home").write_text("")
    elif kind == "has a cache that is a file":
        (folder / "home").mkdir()
        (folder / "home" / ".cache").write_text("")
    elif kind == "is nobody's":
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    elif kind == "is relative":
        monkeypatch.setenv("HOME", "home")
    elif kind == "has a cache elsewhere that is a file":
        (folder / "home").mkdir()
        (folder / "cache").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    elif kind == "is on a full disk":
        (folder / "home").mkdir()
        free = places.free_bytes
        monkeypatch.setattr(places, "free_bytes", lambda place: 0 if "/home/" in place else free(place))
    elif kind == "is on a network file system":
        (folder / "home").mkdir()
        monkeypatch.setattr(places, "_file_system", lambda place: "nfs4" if "/home/" in str(place) else "")
    elif kind == "has reached its quota":
        (folder / "home").mkdir()
        writes = places.can_be_written
        monkeypatch.setattr(
            places, "can_be_written", lambda place, size: "/home/" not in str(place) and writes(place, size)
        )


KINDS = (
    *(
        "is not there",
        "is a file",
        "has a cache that is a file",
        "is nobody's",
        "is relative",
        "is on a full disk",
    ),
    *("has a cache elsewhere that is a file", "has reached its quota", "is on a network file system"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_home_is_no_use_a_journal_is_a_temporary_file(
    kind: str,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    home(kind, tmp_path, monkeypatch)
    client = Client(backend="mock")
    kept = temporary / f"replicate-kit-{os.getuid()}"
    for _ in range(2):
        with client.map("demo/poet", ROWS) as batch:
            assert batch.journal is not None
            assert Path(batch.journal).parent == kept
            assert [result.status for result in batch] == ["succeeded"]
    assert kept.stat().st_mode & 0o777 == 0o700
    plan = client.plan("demo/poet", ROWS)
    assert f"is in {kept}" in str(plan)
    assert caplog.text.count("The journal cannot be kept in") == 1
    assert "Pass journal=" in caplog.text


def test_where_it_can_be_written_the_cache_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the specification says to ignore
    with Client(backend="mock").map("demo/poet", ROWS) as batch:
        assert str(batch.journal).startswith(str(tmp_path / "home" / ".cache" / "replicate-kit"))
        assert len(list(batch)) == 1
        assert batch.plan is not None
        assert batch.plan.remark is None
    assert caplog.text == ""


@pytest.mark.parametrize("trap", ["a link", "open to others", "another user's", "a file"])
def test_a_folder_that_others_may_have_prepared_is_not_used(
    trap: str, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home("is not there", tmp_path, monkeypatch)
    known = temporary / f"replicate-kit-{os.getuid()}"
    if trap == "a link":
        (tmp_path / "trap").mkdir(mode=0o700)
        known.symlink_to(tmp_path / "trap")
    elif trap == "open to others":
        known.mkdir()
        known.chmod(0o777)
    elif trap == "a file":
        known.write_text("")
    else:
        known.mkdir(mode=0o700)
        monkeypatch.setattr(os, "getuid", lambda: os.stat(known).st_uid + 1)
        known = known.rename(temporary / f"replicate-kit-{os.getuid()}")
    with Client(backend="mock").map("demo/poet", ROWS) as batch:
        folder = Path(str(batch.journal)).parent
        assert folder != known
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(list(batch)) == 1
    assert known not in places.folders()
    assert not (tmp_path / "trap").exists() or not list((tmp_path / "trap").iterdir())


def test_where_nothing_can_be_written_both_places_are_named(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home("is not there", tmp_path, monkeypatch)
    monkeypatch.setattr(places, "can_be_written", lambda folder, size: False)
    with pytest.raises(JournalError, match=r"neither in the user's cache folder .* nor in .* Pass journal="):
        list(Client(backend="mock").map("demo/poet", ROWS))


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can be another user")
def test_a_user_of_a_service_runs_over_rows(tmp_path: Path) -> None:
    folder = tempfile.mkdtemp(dir="/tmp")
    os.chmod(folder, 0o1777)
    code = f"""
import os
from replicate_kit import Client
client = Client(backend="mock")
def run(**options):
    return [result.status for result in client.map("demo/poet", [{{"prompt": "sea"}}], **options)]
run(journal={str(tmp_path / "journal")!r})  # loads all there is, which the other user may not read
os.setgid(65534)
os.setuid(65534)
os.environ.update(HOME="/", TMPDIR={folder!r})
os.environ.pop("XDG_CACHE_HOME", None)
print(client.plan("demo/poet", [{{"prompt": "sea"}}]).to_pay, run(), os.listdir({folder!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False)
    assert done.stdout == "1 ['succeeded'] ['replicate-kit-65534']\n", done.stderr
    assert "cannot be kept in /.cache/replicate-kit/journals (Permission denied)" in done.stderr


def test_left_over_journals_are_listed_wherever_they_are(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from replicate_kit.batch.journals import journals

    home("is not there", tmp_path, monkeypatch)
    with Client(backend="mock").map("demo/poet", ROWS) as batch:
        assert [each.path for each in journals()] == [Path(str(batch.journal))]
        list(batch)
    assert journals() == []
