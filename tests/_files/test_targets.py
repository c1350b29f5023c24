"""Where a file goes whose path leads to something else than a file."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client, FileOutput
from replicate_kit._files.atomic import open_replacing, replacing
from replicate_kit._files.blocks import BLOCK
from replicate_kit.errors import FileError

CONTENT = os.urandom(2 * BLOCK + 5)


class Server:
    """A server of one file, which counts how often it is asked."""

    def __init__(self, serve: Any) -> None:
        self.asked = 0
        self.url = serve(self._answer).url

    def _answer(self, request: object) -> tuple[int, dict[str, str], bytes]:
        self.asked += 1
        return 200, {}, CONTENT


@pytest.fixture
def server(serve: Any) -> Server:
    return Server(serve)


@pytest.fixture
def file(server: Server) -> Iterator[FileOutput]:
    with Client(base_url=server.url, api_token="secret") as client:
        yield FileOutput(f"{server.url}/out.bin", client.session)


def by_replacing(target: Path) -> None:
    with replacing(target) as partial:
        partial.write_bytes(CONTENT)


def by_open_replacing(target: Path) -> None:
    with open_replacing(target) as opened:
        opened.write(CONTENT)


@pytest.fixture(params=["save", "replacing", "open_replacing"])
def write(request: Any, file: FileOutput, drive: Any) -> Callable[[Path], object]:
    """The ways by which a file is written."""
    return {
        "save": lambda target: drive(file.async_save(target)),
        "replacing": by_replacing,
        "open_replacing": by_open_replacing,
    }[request.param]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
@pytest.mark.parametrize("through_link", [False, True])
def test_a_fifo_is_written_into_and_stays(
    write: Callable[[Path], object], tmp_path: Path, through_link: bool
) -> None:
    fifo, link, read = tmp_path / "fifo", tmp_path / "link", list[bytes]()
    os.mkfifo(fifo)
    link.symlink_to("fifo")
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()), daemon=True)
    reader.start()
    write(link if through_link else fifo)
    reader.join(60)
    assert read == [CONTENT]
    assert fifo.is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["fifo", "link"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
def test_who_saves_to_a_fifo_waits_for_its_reader(
    file: FileOutput, server: Server, drive: Any, clock: Any, tmp_path: Path
) -> None:
    fifo, read = tmp_path / "fifo", list[bytes]()
    os.mkfifo(fifo)
    begun = threading.Event()
    original = os.open

    def opened(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if path == fifo:
            begun.set()
        return original(path, flags, *more, **options)

    def come_later() -> None:
        begun.wait(60)
        read.append(fifo.read_bytes())

    reader = threading.Thread(target=come_later, daemon=True)
    reader.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", opened)
        drive(file.async_save(fifo))
    reader.join(60)
    assert read == [CONTENT]


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that the system takes for a device."""
    path, original = tmp_path / "device", os.stat
    path.touch()

    def stats(asked: Any, **options: Any) -> os.stat_result:
        found = original(asked, **options)
        same = not isinstance(asked, int) and os.fspath(asked) == str(path)
        return os.stat_result((stat.S_IFCHR | 0o666, *found[1:])) if same else found

    monkeypatch.setattr(os, "stat", stats)
    return path


@pytest.mark.parametrize("through_link", [False, True])
def test_a_device_is_written_into_and_stays(
    write: Callable[[Path], object], device: Path, tmp_path: Path, through_link: bool
) -> None:
    (tmp_path / "link").symlink_to(device)
    before = os.lstat(device).st_ino
    write(tmp_path / "link" if through_link else device)
    assert (os.lstat(device).st_ino, device.read_bytes()) == (before, CONTENT)
    assert sorted(os.listdir(tmp_path)) == ["device", "link"]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="this system has no such links")
@pytest.mark.parametrize("write", ["save", "open_replacing"], indirect=True)
def test_what_was_written_to_an_open_file_stays_before_what_is_saved_to_it(
    write: Callable[[Path], object], tmp_path: Path
) -> None:
    with (tmp_path / "log").open("wb") as log:
        log.write(b"before")
        log.flush()
        write(Path(f"/proc/self/fd/{log.fileno()}"))
        assert os.fstat(log.fileno()).st_ino == (tmp_path / "log").stat().st_ino
    assert (tmp_path / "log").read_bytes() == b"before" + CONTENT


@pytest.mark.parametrize("dangling", [False, True])
@pytest.mark.parametrize("links", [1, 3])
def test_of_a_link_the_file_is_written_that_it_leads_to(
    write: Callable[[Path], object], tmp_path: Path, dangling: bool, links: int
) -> None:
    target = tmp_path / "elsewhere" / "target"
    target.parent.mkdir()
    if not dangling:
        target.write_bytes(b"before")
    (tmp_path / "link0").symlink_to("elsewhere/target")
    for number in range(1, links):
        (tmp_path / f"link{number}").symlink_to(f"link{number - 1}")
    link = tmp_path / f"link{links - 1}"
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() == CONTENT
    assert os.listdir(target.parent) == ["target"]


def folder(path: Path) -> str:
    path.mkdir()
    return "a folder"


def link_to_a_folder(path: Path) -> str:
    path.symlink_to(path.parent)
    return "a folder"


def link_to_itself(path: Path) -> str:
    path.symlink_to(path.name)
    return "leads to itself"


def unix_socket(path: Path) -> str:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("there are no such sockets here")
    before = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may have a hundred characters
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(before)
    return "a socket"


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("make", [folder, link_to_a_folder, link_to_itself, unix_socket])
def test_what_cannot_be_written_is_refused_before_anything_is_fetched(
    make: Callable[[Path], str], write: Callable[[Path], object], server: Server, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    kind = make(target)
    before = os.lstat(target)
    with pytest.raises(FileError, match=kind):
        write(target)
    assert (server.asked, os.lstat(target).st_ino, os.listdir(tmp_path)) == (0, before.st_ino, ["target"])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_in_a_folder_that_may_not_be_written_nothing_is_fetched(
    write: Callable[[Path], object], server: Server, tmp_path: Path
) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError):
            write(tmp_path / "target")
    finally:
        tmp_path.chmod(0o755)
    assert (server.asked, os.listdir(tmp_path)) == (0, [])


WAITS = """
import base64, sys
from replicate_kit import Client, FileOutput
file = FileOutput("data:application/octet-stream;base64," + base64.b64encode(bytes(3 << 20)).decode())
print("on", flush=True)
file.save(sys.argv[1])
"""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_ctrl_c_ends_a_save_into_a_fifo_whose_reader_does_not_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [sys.executable, "-c", WAITS, str(fifo)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "on\n"
            reader = os.open(fifo, os.O_RDONLY)
            assert os.read(reader, 1)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    os.close(reader)
    assert said.rstrip().endswith("KeyboardInterrupt")
