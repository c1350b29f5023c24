"""What the package `replicate` 1.x calls otherwise, and what to write here instead.

Whoever changes the import types those names on. Those that can mean the same here are here; the others are answered
from these tables.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

__all__ = [
    "ATTRIBUTES",
    "MODULES",
    "OPTIONS",
    "advice",
    "answering",
    "module_advice",
    "option_advice",
    "with_moved_names",
]

P = ParamSpec("P")
R = TypeVar("R")
K = TypeVar("K")

_PREDICTIONS = "replicate_kit.resources.predictions"
_TRAININGS = "replicate_kit.resources.trainings"
_WEBHOOKS = "replicate_kit.resources.webhooks"
_DEPLOYMENTS = "replicate_kit.resources.deployments"
_ERRORS = "replicate_kit.errors"

MODULES: Mapping[str, Mapping[str, str]] = {
    "__about__": {"__version__": "replicate_kit.__version__"},
    "account": {
        "Account": "replicate_kit.resources.accounts.Account",
        "Accounts": "replicate_kit.resources.accounts.Accounts",
    },
    "collection": {
        "Collection": "replicate_kit.resources.collections.Collection",
        "Collections": "replicate_kit.resources.collections.Collections",
    },
    "deployment": {
        "Deployment": f"{_DEPLOYMENTS}.Deployment",
        "Deployments": f"{_DEPLOYMENTS}.Deployments",
        "DeploymentPredictions": f"{_PREDICTIONS}.PredictionsOf",
        "DeploymentsPredictions": f"{_PREDICTIONS}.Predictions",
    },
    "file": {"File": "replicate_kit.resources.files.File", "Files": "replicate_kit.resources.files.Files"},
    "hardware": {
        "Hardware": "replicate_kit.resources.hardware.Hardware",
        "HardwareNamespace": "replicate_kit.resources.hardware.HardwareKinds",
    },
    "helpers": {
        "FileOutput": "replicate_kit.FileOutput",
        "base64_encode_file": "replicate_kit.inputs.encode_file",
        "encode_json": "replicate_kit.inputs.encode_file",
        "async_encode_json": "replicate_kit.inputs.encode_file",
        "transform_output": "replicate_kit.Prediction.output",
    },
    "identifier": {"ModelVersionIdentifier": "replicate_kit.Reference"},
    "model": {
        "Model": "replicate_kit.Model",
        "Models": "replicate_kit.resources.models.Models",
        "ModelsPredictions": f"{_PREDICTIONS}.Predictions",
    },
    "pagination": {
        "Page": "replicate_kit.Page",
        "paginate": "replicate_kit.paginate",
        "async_paginate": "replicate_kit.async_paginate",
    },
    "prediction": {
        "Prediction": "replicate_kit.Prediction",
        "Predictions": f"{_PREDICTIONS}.Predictions",
        "CreatePredictionRequestParams": f"{_PREDICTIONS}.CreateOptions",
    },
    "resource": {"Resource": "replicate_kit.records.Record", "Namespace": "replicate_kit.Resource"},
    "run": {"run": "replicate_kit.run", "async_run": "replicate_kit.async_run"},
    "stream": {
        "ServerSentEvent": "replicate_kit.ServerSentEvent",
        "EventSource": "replicate_kit.stream",
        "stream": "replicate_kit.stream",
        "async_stream": "replicate_kit.async_stream",
    },
    "training": {"Training": f"{_TRAININGS}.Training", "Trainings": f"{_TRAININGS}.Trainings"},
    "version": {
        "Version": "replicate_kit.Version",
        "Versions": "replicate_kit.resources.versions.Versions",
    },
    "webhook": {
        "Webhooks": f"{_WEBHOOKS}.Webhooks",
        "WebhookSigningSecret": f"{_WEBHOOKS}.WebhookSecret",
        **dict.fromkeys(
            (
                "WebhookValidationError",
                "MissingWebhookHeaderError",
                "MissingWebhookBodyError",
                "InvalidSecretKeyError",
                "InvalidTimestampError",
                "InvalidSignatureError",
            ),
            f"{_ERRORS}.InvalidWebhook",
        ),
    },
}
"""Modules that are not here; for each of their names, where it is or what does its work."""

_AS_KEYWORDS = "Pass what is in it as keyword arguments"

ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "Client": {
        "poll_interval": "It is an option: Client(poll_interval=…), client.with_options(poll_interval=…), or "
        "REPLICATE_POLL_INTERVAL in the environment. client.config.poll_interval reads it",
    },
    "Collection": {"id": "Use slug"},
    "Deployment": {"username": "Use owner", "Release": f"It is {_DEPLOYMENTS}.Release"},
    "Deployments": {
        "predictions": "Use client.predictions.create(deployment='owner/name', input=…)",
        "CreateDeploymentParams": _AS_KEYWORDS,
        "UpdateDeploymentParams": _AS_KEYWORDS,
    },
    "Files": {"CreateFileParams": _AS_KEYWORDS},
    "Hardware": {"id": "Use sku"},
    "Model": {"username": "Use owner"},
    "Models": {
        "predictions": "Use client.predictions.create(model='owner/name', input=…)",
        "CreateModelParams": "Use replicate_kit.resources.models.Description for what describes a model",
    },
    "Prediction": {"Progress": "progress is a number from 0 to 1, or None"},
    "Predictions": {"CreatePredictionParams": f"It is {_PREDICTIONS}.CreateOptions"},
    "Record": {
        "copy": "Use copy.copy(…)",
        "dict": "Use dict(…): a record is a mapping of what the API sent",
        "json": "Use json.dumps(dict(…)): a record is a mapping of what the API sent",
        "parse_obj": "Call the class with the mapping",
    },
    "ReplicateError": {
        "from_response": "Errors of the API are made by the client that sends the request",
        "to_dict": "The body of an APIError has what the API sent",
    },
    "Trainings": {"CreateTrainingParams": _AS_KEYWORDS},
    "Versions": {"model": "Keep the model that they are the versions of"},
    "Webhooks": {"Default": f"It is {_WEBHOOKS}.DefaultWebhook"},
}
"""Attributes of classes of ours, by the name of the class."""

_ENCODING = (
    "How files go into inputs is an option of the client: Client(file_encoding='inline'), 'upload', or 'auto' (which "
    "is the default). There 'base64' is what 'inline' is here, and 'url' is 'upload'"
)
_COMPLETED = "Use webhook=…, webhook_events_filter=['completed']"
_FILES = (
    "Leave it out: files are texts already, with the URL as that, which can be read; str.__str__(file) and file.url "
    "give plain text"
)
_NAMED = "Pass 'owner/name' first, without a name"

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "Client": {"file_encoding_strategy": _ENCODING},
    "run": {
        "use_file_output": _FILES,
        "file_encoding_strategy": _ENCODING,
        "webhook_completed": _COMPLETED,
        "stream": "Use stream(…), or predictions.create(…) and prediction.stream(), for events as they come",
    },
    "create": {"file_encoding_strategy": _ENCODING, "webhook_completed": _COMPLETED},
    "prediction.stream": {"use_file_output": "Leave it out: an event's data is a text, and so is a file"},
    "deployment": {"deployment_owner": _NAMED, "deployment_name": _NAMED, "name": _NAMED},
    "model": {"key": _NAMED, "owner": _NAMED, "name": _NAMED},
    "file": {"file_id": "Pass the id first, without a name"},
    "reference": {"ref": "Pass the text first, without a name"},
    "paginate": {"list_method": "Pass the method first, without a name"},
}
"""Keyword arguments, by what takes them."""


def module_advice(name: str) -> str:
    """Say of a module that is not here where what it has is, as sentences after others; empty for other names.

    >>> module_advice("identifier")
    " 'replicate' has it. Here ModelVersionIdentifier is replicate_kit.Reference."
    >>> module_advice("wombat")
    ''
    """
    if name not in MODULES:
        return ""
    targets: dict[str, list[str]] = {}
    for old, new in MODULES[name].items():
        targets.setdefault(new, []).append(old)
    said = "; ".join(f"{', '.join(old)} {_is(old)} {new}" for new, old in targets.items())
    return f" 'replicate' has it. Here {said}."


def _is(names: Collection[str]) -> str:
    """The verb for one name or several."""
    return "is" if len(names) == 1 else "are"


def advice(kind: type, name: str) -> str:
    """Say what to use instead of an attribute that objects of a class do not have, as a sentence after others.

    >>> from replicate_kit.resources.hardware import Hardware
    >>> advice(Hardware, "id"), advice(Hardware, "wombat")
    (' Use sku.', '')
    """
    found = (ATTRIBUTES.get(each.__name__, {}).get(name) for each in kind.__mro__ if _is_ours(each))
    return next((f" {each}." for each in found if each), "")


def _is_ours(kind: type) -> bool:
    """Whether a class is one of this package, and not another of the same name."""
    return kind.__module__.partition(".")[0] == "replicate_kit"


def with_moved_names(kind: type[K], /) -> type[K]:
    """Let a class and its objects answer the names that it has in `replicate` with what to use instead.

    Records need it not: they are asked for what the API may have added, and answer then.
    """
    moved = {name for name in ATTRIBUTES[kind.__name__] if not hasattr(kind, name)}
    listed = kind.__dir__

    def there(self: K) -> list[str]:
        return sorted({*listed(self)} - moved)

    for name in moved:
        setattr(kind, name, _Moved(name))
    setattr(kind, "__dir__", there)  # noqa: B010 - checkers know the method of the class
    return kind


class _Moved:
    """An attribute that is not there, and says what to use instead."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no {self._name!r}.{advice(owner, self._name)}")

    def __set__(self, instance: object, value: object) -> NoReturn:
        raise AttributeError(
            f"{type(instance).__name__} has no {self._name!r}.{advice(type(instance), self._name)}"
        )


def option_advice(taker: str, options: Collection[str]) -> str:
    """Say of the first of the options that `replicate` takes there what to pass here instead; empty if there is none.

    >>> option_advice("file", ["file_id"]), option_advice("file", ["wombat"])
    ("There is no option 'file_id' here. Pass the id first, without a name.", '')
    """
    moved = next((name for name in options if name in OPTIONS[taker]), None)
    return "" if moved is None else f"There is no option {moved!r} here. {OPTIONS[taker][moved]}."


def _refuse(taker: str, options: Collection[str]) -> None:
    """Raise `TypeError`, as Python does for an argument that a function has not."""
    if options and (said := option_advice(taker, options)):
        raise TypeError(said)


def answering(taker: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let an operation answer the keyword arguments that it takes in `replicate`; `taker` is their row in `OPTIONS`."""
    from inspect import iscoroutinefunction  # not above: errors need none of it

    def decorate(operation: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(operation)
        async def answered(*args: P.args, **options: P.kwargs) -> Any:
            _refuse(taker, options)
            return await cast("Any", operation(*args, **options))

        @functools.wraps(operation)
        def answered_at_once(*args: P.args, **options: P.kwargs) -> R:
            _refuse(taker, options)
            return operation(*args, **options)

        return cast("Callable[P, R]", answered if iscoroutinefunction(operation) else answered_at_once)

    return decorate
