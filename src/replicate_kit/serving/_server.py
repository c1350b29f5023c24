"""A simulator behind sockets: started, stopped, and begun again."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import uvicorn

from replicate_kit.serving._application import application
from replicate_kit.serving._bridge import Answered
from replicate_kit.serving._feed import Feed
from replicate_kit.serving._origins import LOOPBACK, Origins, checked_hosts, checked_origins
from replicate_kit.serving._sockets import certificate
from replicate_kit.serving._sockets.listening import listen, names_of, origin_of
from replicate_kit.serving._sockets.protocol import Protocol
from replicate_kit.serving._sockets.stopping import StoppableRuntime
from replicate_kit.simulator import Clock, Fault, Simulator, install

__all__ = ["Server"]

GRACE = 5  # seconds that answers on their way have when the server stops


class Server:
    """Serves a simulator over HTTP, HTTPS or both: in `with` on a thread of its own, or with `run` on the caller's.

    - `models`: Python files to take models from, functions that are called with the simulator to publish what they
      like, or both. Left out, there are the demo models; `demo` says otherwise.
    - `host`, `port`, `https_port`: where to listen; port 0 is any that is free. `http` and `https` switch one off.
    - `public_url`: the address that clients use, where it is another one, as behind a proxy. Left out, links lead to
      where the client came in.
    - `authority`: where to write the certificate that clients are to trust; left out, a temporary file.
    - `allow_hosts`: names by which clients may come beside `localhost`, addresses, and those of `host` and
      `public_url`: exact ones, `*.example.com`, or `*`. Requests for other names are refused: a page that has a name
      of its own lead here could use the server.
    - `allow_origins`: web pages of other sites that may use the API, such as `http://localhost:5173`, or `*`.
    - `require_token`: whether requests without a token get 401, as from Replicate. Any token will do, unless `tokens`
      says which.
    - `secret`: what `/_control` and the page ask of clients that are not on this machine; with `guard`, of all.
    - `records`: JSON files, or mappings, of what `Simulator.load_records` loads; they are there again after `reset`.
    - `clock`, `faults` and all other options are those of `replicate_kit.simulator.Simulator`.

    `simulator` is the one that answers now. `environment` makes clients of other processes use it.

    >>> with Server(https=False) as server:
    ...     import httpx
    ...     httpx.get(f"{server.url}/v1/account", headers={"authorization": "Bearer any"}).json()["username"]
    'local'
    """

    def __init__(
        self,
        *models: str | Path | Callable[[Simulator], object],
        demo: bool | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        https_port: int = 0,
        http: bool = True,
        https: bool = True,
        public_url: str | None = None,
        authority: str | Path | None = None,
        allow_hosts: Iterable[str] = (),
        allow_origins: Iterable[str] = (),
        require_token: bool = True,
        secret: str | None = None,
        guard: bool = False,
        records: Mapping[str, Any] | str | Path | Iterable[Mapping[str, Any] | str | Path] = (),
        faults: Iterable[Fault] = (),
        clock: Clock | None = None,
        answered: Answered | None = None,
        **options: Any,
    ) -> None:
        if not (http or https):
            raise ValueError("Serve HTTP, HTTPS or both; neither leaves nothing to reach.")
        self._models, self._demo = models, not models if demo is None else demo
        self._options = {**options, "require_token": require_token, "faults": tuple(faults)}
        self._clock, self._answered = clock, answered
        given: Any = records
        self._records = (given,) if isinstance(given, Mapping | str | Path) else tuple(given)
        self.host, self._public_url = host, public_url
        self._ports = {"http": port, "https": https_port}
        self.schemes = [scheme for scheme, wanted in (("http", http), ("https", https)) if wanted]
        self._authority = Path(authority) if authority else None
        self._allowed_hosts = checked_hosts(allow_hosts)
        self.allowed_origins = checked_origins(allow_origins)
        self.secret, self.guarded = secret or secrets.token_urlsafe(16), guard
        self.feed = Feed()
        self._simulator: Simulator | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runtime: StoppableRuntime | None = None
        self._servers: list[_Uvicorn] = []
        self._sockets: dict[str, socket.socket] = {}

    # Where it is.

    @property
    def simulator(self) -> Simulator:
        """The simulator that answers; another one after `reset`."""
        if self._simulator is None:
            raise RuntimeError("The server is not running. Use it in `with`, or call `run`.")
        return self._simulator

    @property
    def url(self) -> str:
        """The server's address for clients that need no HTTPS, without `/v1`."""
        return next(iter(self._origins.values()))

    @property
    def https_url(self) -> str:
        """Its address for clients that take only https URLs for files, as the official ones do."""
        if "https" not in self._origins:
            raise RuntimeError("The server was started without HTTPS.")
        return self._origins["https"]

    @property
    def public_url(self) -> str:
        """What links begin with that go out without a request, in webhooks."""
        return self.origins.public

    @property
    def authority(self) -> Path:
        """The certificate that clients of `https_url` are to trust, as a file."""
        return self._authority or self._folder / certificate.AUTHORITY

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which clients find it: ours, and the official ones."""
        found = {"REPLICATE_API_TOKEN": self._token}
        if "https" not in self._origins:
            return {**found, "REPLICATE_BASE_URL": self.url}
        trusted = {
            "SSL_CERT_FILE": str(self._folder / certificate.BUNDLE),
            "NODE_EXTRA_CA_CERTS": str(self.authority),
        }
        return {**found, "REPLICATE_BASE_URL": self.https_url, **trusted}

    @property
    def _token(self) -> str:
        tokens = self._options.get("tokens")
        return next(iter(tokens)) if tokens else "r8_any"

    # What it does.

    def reset(self) -> None:
        """Begin again with a simulator that knows nothing but its models."""
        if self._options.get("state") is not None:
            raise ValueError(
                "What is kept in a state folder cannot be reset. Stop the server and delete the folder."
            )
        old, self._simulator = self.simulator, self._make()
        old.close()

    def __enter__(self) -> Self:
        """Serve on a thread until the block ends."""
        self._temporary = tempfile.TemporaryDirectory(prefix="replicate-kit-serve-")
        try:
            self._listeners = self._open(Path(self._temporary.name))
        except BaseException:
            self._close()
            raise
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(ready,), name="replicate-kit-serve", daemon=True
        )
        self._thread.start()
        ready.wait()
        return self

    def _work(self, ready: threading.Event) -> None:
        """Serve on this thread; let whoever waits go on, whatever happens."""
        try:
            asyncio.run(self._serve(ready.set))
        finally:
            ready.set()

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._thread.join()
        self._close()

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve on this thread until Ctrl-C or SIGTERM; `ready` is called once clients may come."""
        self._temporary = tempfile.TemporaryDirectory(prefix="replicate-kit-serve-")
        try:
            self._listeners = self._open(Path(self._temporary.name))
            asyncio.run(self._serve(ready, signals=True))
        finally:
            self._close()

    def stop(self) -> None:
        """Take no more requests, let held answers and streams come to their end, and stop. From any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has stopped already
                self._loop.call_soon_threadsafe(self._end, False)

    # How.

    def _open(self, folder: Path) -> list[tuple[socket.socket, ssl.SSLContext | None]]:
        """Take the ports, make the certificate, and then the simulator, which has to know its address."""
        self._folder = folder
        for scheme in self.schemes:
            self._sockets[scheme] = listen(self.host, self._ports[scheme])
        self._origins = {scheme: origin_of(scheme, self.host, each) for scheme, each in self._sockets.items()}
        # HTTPS where there is a choice: official clients take no other URL for a file.
        public = (self._public_url or self._origins.get("https") or self.url).rstrip("/").removesuffix("/v1")
        names = {*names_of(self.host), urlsplit(public).hostname or self.host}
        every = {*names, *self._allowed_hosts}
        self.origins = Origins(public, self._origins.values(), every, fixed=self._public_url is not None)
        context = (
            certificate.certify(folder, LOOPBACK | every - {"*", ""}) if "https" in self._sockets else None
        )
        if context and self._authority:
            self._authority.write_bytes((folder / certificate.AUTHORITY).read_bytes())
        self._simulator = self._make()
        return [(each, context if scheme == "https" else None) for scheme, each in self._sockets.items()]

    def _make(self) -> Simulator:
        """Make a simulator with its models."""
        root = self.origins.public
        made = Simulator(
            base_url=f"{root}/v1", files_url=root, streams_url=root, clock=self._clock, **self._options
        )
        if self._demo:
            install(made)
        for each in self._models:
            made.load(each) if isinstance(each, str | Path) else each(made)
        for records in self._records:
            made.load_records(records)
        return made

    async def _serve(self, ready: Callable[[], None], *, signals: bool = False) -> None:
        """Serve on all listeners until `_end`."""
        self._loop, self._runtime = asyncio.get_running_loop(), StoppableRuntime()
        app = application(self, self._runtime, self._answered)
        self._servers = [_Uvicorn(_configure(app, context)) for _, context in self._listeners]
        tasks = [
            asyncio.ensure_future(server.serve([listener]))
            for server, (listener, _) in zip(self._servers, self._listeners, strict=True)
        ]
        with self._signals() if signals else nullcontext():
            while not (self._started() or any(each.done() for each in tasks)):  # noqa: ASYNC110 - it is a flag
                await asyncio.sleep(0.005)
            ready()
            await asyncio.gather(*tasks)
            await self._hang_up()

    async def _hang_up(self) -> None:
        """Close the connections that came while the listeners closed, before the loop ends without them."""
        for _ in range(3):  # one that was just accepted shows itself a turn of the loop later
            for server in self._servers:
                for connection in list(server.server_state.connections):
                    connection.transport.abort()
            await asyncio.sleep(0.005)

    def _started(self) -> bool:
        return all(server.started for server in self._servers)

    def _end(self, again: bool = True) -> None:
        """Stop waiting, and let the servers finish; said `again`, do not let them."""
        if self._runtime is not None:
            self._runtime.stop()
        for server in self._servers:
            server.force_exit = again and server.should_exit
            server.should_exit = True

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop on Ctrl-C and SIGTERM; the second one does not wait for anybody."""
        assert self._loop is not None
        wanted = (signal.SIGINT, signal.SIGTERM)
        if os.name == "nt":  # event loops take no signals there: Ctrl-C ends the run
            yield
            return
        for each in wanted:
            self._loop.add_signal_handler(each, self._end)
        try:
            yield
        finally:
            for each in wanted:
                self._loop.remove_signal_handler(each)

    def _close(self) -> None:
        """Give everything back."""
        if self._simulator is not None:
            self._simulator.close()
        while self._sockets:
            self._sockets.popitem()[1].close()
        self._temporary.cleanup()


class _Uvicorn(uvicorn.Server):
    """One listener. Signals are for the one who has them all."""

    def capture_signals(self) -> Any:
        """Leave signals alone."""
        return nullcontext()


def _configure(app: Any, context: ssl.SSLContext | None) -> uvicorn.Config:
    """Say how to serve."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE,
        server_header=False,
        date_header=False,  # answers have the date of the simulator's own clock
        backlog=1024,
    )
    # uvicorn reads certificates from files only, and our keys are in none: it loads without, then gets our context.
    config.load()
    config.ssl = context
    return config
