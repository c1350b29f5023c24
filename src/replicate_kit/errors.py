"""One tree of errors; catch `ReplicateError` for all of it.

ReplicateError
├── ConfigError (ValueError)        a setting is missing or wrong; nothing was sent
│   ├── MissingToken
│   └── UnknownOption (TypeError)   a call has an option that there is not
├── MissingExtraError (ImportError) an optional part is not installed
├── InvalidReference (ValueError)   a model reference that cannot be read
├── InvalidURL (ValueError)         a text that is no URL, or one that readers could differ about
├── InputError (ValueError)         an input that cannot be sent; nothing was spent
├── InvalidWebhook (ValueError)     a webhook that is not to be trusted
├── PluginError                     a plugin failed to load, broke a rule, or failed in a hook
├── APIError                        the API answered with an error
│   ├── AuthenticationError (401) · InsufficientCredit (402) · PermissionDenied (403) · NotFound (404)
│   ├── ValidationError (422)
│   ├── RateLimited (429)
│   └── ServerError (5xx)
├── TransportError                  no usable answer came
│   ├── ConnectFailed · RequestTimeout · ConnectionLost · InvalidResponse
├── UncertainCreate                 a create was sent and its outcome is unknown
├── PredictionError                 a prediction has no output to give; carries the prediction
│   ├── ModelError · PredictionCanceled · PredictionAborted
│   └── PredictionTimeout (TimeoutError)
├── StreamError                     a stream of events broke off
├── BatchError                      a run over many rows stopped; carries the results so far
├── BudgetExhausted                 a row was left out: its prediction might cost more than is left
├── JournalError (OSError)          a batch's journal cannot be used
├── UnknownPrediction               a prediction may have been created, and it cannot be found
├── OutputExpired                   a prediction was paid, and its output is gone
└── FileError (OSError)             an output file cannot be read or stored
    └── FileExpired
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from replicate_kit._moved import with_moved_names

if TYPE_CHECKING:
    # The names from rooms above: pyright does not take a record's fields for the properties of a Protocol.
    from replicate_kit._door.requests import Request
    from replicate_kit.resources._jobs.lifecycle import Job

__all__ = [
    "APIError",
    "AuthenticationError",
    "BatchError",
    "BudgetExhausted",
    "ConfigError",
    "ConnectFailed",
    "ConnectionLost",
    "FileError",
    "FileExpired",
    "InputError",
    "InsufficientCredit",
    "InvalidReference",
    "InvalidResponse",
    "InvalidURL",
    "InvalidWebhook",
    "JournalError",
    "MissingExtraError",
    "MissingToken",
    "ModelError",
    "NotFound",
    "OutputExpired",
    "PermissionDenied",
    "PluginError",
    "PredictionAborted",
    "PredictionCanceled",
    "PredictionError",
    "PredictionTimeout",
    "RateLimited",
    "ReplicateError",
    "RequestTimeout",
    "ServerError",
    "StreamError",
    "TransportError",
    "UncertainCreate",
    "UnknownOption",
    "UnknownPrediction",
    "ValidationError",
]


@with_moved_names
class ReplicateError(Exception):
    """Base of every error that this package raises on purpose.

    `prediction` is the prediction that it is about, where there is one: with its id, nothing paid for is out
    of reach.
    """

    prediction: Job | None = None

    status: int | None = None
    """The HTTP status code; None, as the next four are, for what is no answer of the API."""
    type: str | None = None
    title: str | None = None
    detail: str | None = None
    instance: str | None = None

    _quotes: ClassVar[tuple[str, ...]] = ()
    """The attributes, beside the message, in which it quotes somebody; secrets are taken out of them."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors take keyword-only parts, which Exception's own pickling forgets.
        return _revive, (type(self), self.args, self._portable())

    def _portable(self) -> dict[str, Any]:
        """What of the attributes may travel to another process (never a request: it holds the token)."""
        return {key: value for key, value in self.__dict__.items() if key != "request"}


def _revive(kind: type[ReplicateError], args: tuple[Any, ...], state: dict[str, Any]) -> ReplicateError:
    """Rebuild an error that was pickled."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(ReplicateError, ValueError):
    """A setting is missing or wrong. Nothing was sent."""


class MissingToken(ConfigError):
    """The API needs a token and none was given."""


class UnknownOption(ConfigError, TypeError):
    """A call has an option that there is not. Nothing was sent."""


class MissingExtraError(ReplicateError, ImportError):
    """An optional part of the package is needed and not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(
            f'{purpose} needs an optional part. Install it with: pip install "replicate-kit[{extra}]"'
        )


class InvalidReference(ReplicateError, ValueError):
    """A text that does not name a model, version or deployment."""


class InvalidURL(ReplicateError, ValueError):
    """A text that is no URL, or one that two readers could take for different ones."""


class InputError(ReplicateError, ValueError):
    """An input that cannot be sent. Nothing was spent."""


class InvalidWebhook(ReplicateError, ValueError):
    """A webhook that is not to be trusted: not from the API, changed, too old, or not readable."""


class PluginError(ReplicateError):
    """A plugin failed to load, broke a rule of the hooks, or failed in a hook.

    Where it failed in a hook, `plugin` and `hook` are their names, and `__cause__` is what the plugin raised.
    """

    def __init__(self, message: str, *, plugin: str | None = None, hook: str | None = None) -> None:
        super().__init__(message)
        self.plugin, self.hook = plugin, hook


class RequestError(ReplicateError):
    """Base of errors that belong to one HTTP request."""

    request: Request | None = None


class APIError(RequestError):
    """The API answered with an error.

    `status` is the HTTP status code, `type`, `title`, `detail` and `instance` are the API's words (RFC 9457 problem
    details where it sent them), `body` is the decoded body or its text, `headers` are those of the response,
    `retry_after` is the time in seconds after which the API asked to come again, None where it did not.
    """

    _quotes = ("type", "title", "detail", "instance", "body")

    def __init__(
        self,
        message: str,
        *,
        status: int,
        title: str | None = None,
        detail: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        request: Request | None = None,
    ) -> None:
        super().__init__(message)
        self.status: int = status  # pyright: ignore[reportIncompatibleVariableOverride]
        self.title, self.detail, self.body = title, detail, body
        self.type, self.instance = (_said(body, name) for name in ("type", "instance"))
        self.headers, self.retry_after, self.request = dict(headers or {}), retry_after, request


def _said(body: Any, name: str) -> str | None:
    """Read a text of a body that is an object."""
    value = body.get(name) if isinstance(body, Mapping) else None
    return value if isinstance(value, str) else None


class AuthenticationError(APIError):
    """401: the token is missing, wrong or expired."""


class InsufficientCredit(APIError):
    """402: the account has no credit left. The request was not acted on."""


class PermissionDenied(APIError):
    """403: the token may not do this."""


class NotFound(APIError):
    """404: there is no such thing, or the token may not see it."""


class ValidationError(APIError):
    """422: the API refused what was sent."""

    @property
    def invalid_fields(self) -> Sequence[Mapping[str, Any]]:
        """The fields at fault as the API lists them: mappings with `type`, `field` and `description`."""
        found = self.body.get("invalid_fields") if isinstance(self.body, dict) else None
        return found if isinstance(found, list) else ()


class RateLimited(APIError):
    """429: too many requests. `retry_after` says in how many seconds more of them are taken."""


class ServerError(APIError):
    """5xx: the API failed."""


class TransportError(RequestError):
    """No usable answer came."""

    def __init__(self, message: str, *, request: Request | None = None) -> None:
        super().__init__(message)
        self.request = request


class ConnectFailed(TransportError):
    """No connection was made: the server certainly did not act.

    `temporary` is False where trying again gives the same: a certificate that is not trusted, or a proxy that refuses.
    """

    temporary: bool = True


class RequestTimeout(TransportError, TimeoutError):
    """The server did not answer in time; it may have acted."""


class ConnectionLost(TransportError):
    """The connection broke; the server may have acted."""


class InvalidResponse(TransportError):
    """The answer is not what the API is known to send."""


class UncertainCreate(RequestError):
    """A create was sent and its outcome is unknown: it may be running, and it may be billed. It was not sent again.

    `path` and `body` are what was sent and `sent_at` is when (a Unix timestamp in seconds): with them the
    prediction can be looked for among those listed. `run` has done so: `prediction` is the one that it found, where
    only that can be it. It is yours, unless another program created an equal one at that time.
    """

    def __init__(
        self, message: str, *, path: str, body: Any, sent_at: float, request: Request | None = None
    ) -> None:
        super().__init__(message)
        self.path, self.body, self.sent_at, self.request = path, body, sent_at, request


class PredictionError(ReplicateError):
    """A prediction that has no output to give. `prediction` holds its id, logs and metrics."""

    def __init__(self, message: str, *, prediction: Job) -> None:
        super().__init__(message)
        self.prediction: Job = prediction  # pyright: ignore[reportIncompatibleVariableOverride]


class ModelError(PredictionError):
    """The model failed. The message is the model's own error."""


class PredictionCanceled(PredictionError):
    """The prediction was canceled while it ran; it is billed for the time it ran."""


class PredictionAborted(PredictionError):
    """The prediction ended before it started; it is not billed."""


class PredictionTimeout(PredictionError, TimeoutError):
    """The prediction did not finish in the time that the caller gave it."""


class StreamError(ReplicateError):
    """A stream of events broke off. `prediction` is set where it is known."""

    def __init__(self, message: str, *, prediction: Job | None = None) -> None:
        super().__init__(message)
        self.prediction = prediction


class BatchError(ReplicateError):
    """A run over many rows stopped before its end.

    `results` holds a `replicate_kit.Result` for each row that has come to its end, well or badly, in the order of
    the rows: those that the journal knew from before and those that cannot be sent are among them, those that were
    not created or are still under way are not. It is empty where the journal itself is what failed.

    `journal` is the file that knows of all that was paid for: run it again with this journal and only the rest is
    created. It is a copy where the journal itself was deleted, moved or replaced.
    """

    def __init__(self, message: str, *, results: Sequence[Any] = (), journal: str | None = None) -> None:
        super().__init__(message)
        self.results, self.journal = list(results), journal


class BudgetExhausted(ReplicateError):
    """A row was left out, because its prediction might cost more than is left of the budget."""


class JournalError(ReplicateError, OSError):
    """A batch's journal cannot be opened, read or written, or was taken away while a run used it."""


class UnknownPrediction(ReplicateError):
    """A prediction may have been created for this row and cannot be found. It was not created again.

    `replicate_kit.batch.journals.settle` tells the journal what became of it.
    """


class OutputExpired(ReplicateError):
    """A prediction succeeded and was paid for, and the API has removed its output since."""


class FileError(ReplicateError, OSError):
    """An output file cannot be read or stored."""


class FileExpired(FileError):
    """The output file is gone: the API removes outputs an hour after the prediction."""
