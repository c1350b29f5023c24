"""Record what the API answered once, and answer so again: in tests, without a token, network or cost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from replicate_kit import hookimpl
from replicate_kit._files.atomic import replacing
from replicate_kit.errors import ReplicateError
from replicate_kit.testing._recording import Bodies, Exchange, Secrets, Seen
from replicate_kit.transport import Request, Response

if TYPE_CHECKING:
    from replicate_kit.config import Config
    from replicate_kit.transport import Layer, Transport

__all__ = ["Cassette", "CassetteError"]

_FORMAT = 1


class CassetteError(ReplicateError, AssertionError):
    """A request that a cassette has no answer for, or an answer that nobody asked for."""


class Cassette:
    """A recording of requests and answers, in a JSON file that people can read and review.

    Pass it as a plugin: `Client(plugins=[Cassette("tests/wombat.json")])`. While the file does not exist, requests go
    out and are recorded; once it does, they are answered from it, and nothing is sent. `mode` "record" records anew,
    "replay" never sends anything. Bodies larger than 64 KiB lie in a folder beside the file.

    Tokens, cookies, signatures, webhook secrets, passwords in URLs, the client's own headers, params and cookies, and
    secret inputs (those that a recorded schema marks, and those called so, as `api_key`) are not recorded, and a replay
    finds its answers without them or with others. Short ones (of up to 3 characters) stay where an answer repeats them.

    A `strict` cassette wants the same requests in the same order, and all of them; one that is not finds an answer by
    method, URL and body, and gives the last one again when a request is repeated more often than it was recorded.
    Use it in `with`, or call `close`, to write what was recorded and to check that all was asked for.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from replicate_kit import Client
    >>> path = Path(tempfile.mkdtemp()) / "sea.json"
    >>> with Cassette(path) as recording:
    ...     first = str(Client(backend="mock", plugins=[recording]).run("demo/poet", {"prompt": "sea"}))
    >>> with Cassette(path, mode="replay") as replay:
    ...     again = str(Client(backend="mock", plugins=[replay]).run("demo/poet", {"prompt": "sea"}))
    >>> first == again
    True
    """

    def __init__(
        self,
        path: str | Path,
        *,
        mode: Literal["auto", "record", "replay"] = "auto",
        strict: bool = False,
    ) -> None:
        self.path, self.strict = Path(path), strict
        self.recording = mode == "record" or (mode == "auto" and not self.path.exists())
        self._bodies = Bodies(self.path.with_suffix(".bodies"))
        self._secrets, self._seen = Secrets(), list[Seen]()
        self._exchanges = [] if self.recording else self._read()
        self._used = [False] * len(self._exchanges)

    @hookimpl
    def replicate_transport_layer(self, config: Config) -> Layer:
        """Stand between the client and the API."""
        own = Secrets.of(config.http_options)
        self._secrets.params |= own.params
        self._secrets.texts |= own.texts
        return lambda inner: _Player(inner, self)

    def answer(self, request: Request) -> Response:
        """Find the recorded answer to a request. Raises `CassetteError` if there is none."""
        seen = Seen.of(request)
        self._secrets.learn_headers(seen)
        wanted = seen.key(self._secrets)
        index = self._next() if self.strict else self._fitting(wanted)
        if index is None or self._exchanges[index].key != wanted:
            expected = "nothing more" if index is None else self._exchanges[index].named
            raise CassetteError(
                f"{self.path} has no answer for {request.method} {request.url.path}"
                + (f"; it expects {expected} now." if self.strict else ".")
                + " Record it again with mode='record', or pass strict=False if only the order differs."
            )
        self._used[index] = True
        return self._exchanges[index].response(request, self._bodies)

    def record(self, request: Request, response: Response, body: bytes) -> None:
        """Keep an answer."""
        seen = Seen.of(request, response, body)
        self._secrets.learn(seen)
        self._seen.append(seen)

    def close(self) -> None:
        """Write what was recorded; of a strict replay, check that all of it was asked for."""
        if self.recording:
            self._write()
        elif self.strict and not all(self._used):
            missing = [each.named for each, used in zip(self._exchanges, self._used, strict=True) if not used]
            raise CassetteError(f"{self.path} has answers that were not asked for: {', '.join(missing)}.")

    def __enter__(self) -> Cassette:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A test that has failed already says enough; what it did record is kept.
        if kind is None or self.recording:
            self.close()

    def _next(self) -> int | None:
        """The first exchange that was not asked for yet."""
        return self._used.index(False) if False in self._used else None

    def _fitting(self, wanted: str) -> int | None:
        """The first unused exchange with this request, else the last used one."""
        fitting = [index for index, each in enumerate(self._exchanges) if each.key == wanted]
        unused = [index for index in fitting if not self._used[index]]
        return unused[0] if unused else fitting[-1] if fitting else None

    def _read(self) -> list[Exchange]:
        """Read the file."""
        try:
            content = json.loads(self.path.read_text("utf-8"))
            if content["format"] != _FORMAT:
                raise CassetteError(
                    f"{self.path} is of format {content['format']}, not {_FORMAT}. Record it again."
                )
            secrets = content.get("secrets", {"inputs": [], "params": []})
            self._secrets = Secrets({*secrets["inputs"]}, {*secrets["params"]})
            return [Exchange(**each) for each in content["exchanges"]]
        except FileNotFoundError as error:
            raise CassetteError(
                f"There is no cassette {self.path}. Record it with mode='auto' or 'record'."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CassetteError(f"{self.path} is not a cassette ({error}). Record it again.") from error

    def _write(self) -> None:
        """Write the file, whole or not at all."""
        # Only now is it known what is secret: a schema may come after an input.
        for each in self._seen:
            self._secrets.learn_values(each)
        exchanges = [each.recorded(self._secrets, self._bodies) for each in self._seen]
        content = {
            "format": _FORMAT,
            "secrets": {"inputs": sorted(self._secrets.inputs), "params": sorted(self._secrets.params)},
            "exchanges": [each.as_json() for each in exchanges],
        }
        with replacing(self.path) as partial:
            partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


class _Player:
    """A transport that records, or replays."""

    def __init__(self, inner: Transport, cassette: Cassette) -> None:
        self._inner, self._cassette = inner, cassette

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        """Answer from the cassette, or send the request and keep its answer."""
        if not self._cassette.recording:
            return self._cassette.answer(request)
        response = await self._inner.send(request, stream=stream)
        if response.stream is None or response.is_read:
            self._cassette.record(request, response, response.content)
        else:
            response.stream = _Tee(request, response, self._cassette)
        return response

    async def aclose(self) -> None:
        """Close the transport inside."""
        await self._inner.aclose()


class _Tee:
    """A body that is recorded once it has been read to its end, or left."""

    def __init__(self, request: Request, response: Response, cassette: Cassette) -> None:
        assert response.stream is not None
        self._request, self._response, self._source = request, response, response.stream
        self._cassette, self._chunks, self._kept = cassette, list[bytes](), False

    # An iterator and not a generator: one that is left early needs nobody to close it.
    def __aiter__(self) -> AsyncIterator[bytes]:
        self._incoming = aiter(self._source)
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._incoming)
        except StopAsyncIteration:
            self._keep()
            raise
        self._chunks.append(chunk)
        return chunk

    async def aclose(self) -> None:
        self._keep()
        if (close := getattr(self._source, "aclose", None)) is not None:
            await close()

    def _keep(self) -> None:
        """Record what has come, once."""
        if not self._kept:
            self._kept = True
            self._cassette.record(self._request, self._response, b"".join(self._chunks))
