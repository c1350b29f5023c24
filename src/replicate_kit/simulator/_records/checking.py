"""Check records as a whole, before anything of them is loaded."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from replicate_kit._formats.wording import did_you_mean
from replicate_kit.schema import Problem, check
from replicate_kit.simulator._records.documents import wrong_schemas
from replicate_kit.simulator._records.format import CONTENTS, SAID, SECTIONS, Section
from replicate_kit.simulator._records.known import Known
from replicate_kit.simulator._state.clock import format_time, parse_time

__all__ = ["check_records"]

_MOST = 20


def check_records(records: Any, known: Known, name: str) -> None:
    """Raise ValueError, with a line for each mistake and where it is, unless all of it can be loaded."""
    # What an entry leads to can be looked up only where each is what it should be.
    problems = list(_misshapen(records, known)) or list(_unfit(records, known))
    if problems:
        more = [f"and {len(problems) - _MOST} more"] if len(problems) > _MOST else []
        raise ValueError(f"{name} cannot be loaded.\n" + "\n".join([*problems[:_MOST], *more]))


def _misshapen(records: Any, known: Known) -> Iterator[str]:
    """What does not have the format."""
    if not isinstance(records, Mapping):
        yield f"Records are a JSON object with lists: {', '.join(SECTIONS)}."
        return
    for name, entries in records.items():
        section = SECTIONS.get(name)
        if section is None:
            yield f"{name}: no such list.{did_you_mean(name, SECTIONS)} There are {', '.join(SECTIONS)}."
        elif not isinstance(entries, list):
            yield f"{name}: has to be a list."
        else:
            for index, entry in enumerate(entries):
                yield from _of_entry(entry, section, f"{name}[{index}]", known.now)


def _of_entry(entry: Any, section: Section, path: str, now: int) -> Iterator[str]:
    """What is wrong with one entry, whatever the others are."""
    names = [*section.properties, *section.ignored]
    if isinstance(entry, Mapping):
        for name in entry:
            if name not in names:
                near = did_you_mean(name, names) or f" There are {', '.join(section.properties)}."
                yield f"{path}.{name}: no such name.{near}"
    schema = {"type": "object", "required": section.required, "properties": section.properties}
    yield from (_told(each) for each in check(entry, schema, field=path))
    yield from _times(entry, path, now)
    yield from _unsayable(entry, path)
    if isinstance(entry, Mapping):
        for at, version in ((path, entry), (f"{path}.latest_version", entry.get("latest_version"))):
            if isinstance(version, Mapping) and "openapi_schema" in version:
                yield from map(_told, wrong_schemas(version["openapi_schema"], f"{at}.openapi_schema"))


def _unsayable(entry: Any, path: str) -> Iterator[str]:
    """What no answer could have, since JSON has it not: NaN, infinities, objects of Python."""
    try:
        json.dumps(entry, allow_nan=False)
    except RecursionError:
        yield f"{path}: is nested too deeply."
    except (TypeError, ValueError) as error:
        yield f"{path}: has what JSON cannot say: {error}."


def _told(problem: Problem) -> str:
    """Write a problem of a schema with the path of what is wrong, and for people."""
    field = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", problem.field)
    said = next((said for pattern, said in SAID.items() if pattern in problem.description), None)
    return f"{field}: {said or problem.description}"


def _times(value: Any, path: str, now: int) -> Iterator[str]:
    """Times that cannot be read, or have not come, at any depth that has some of the format's own."""
    if not isinstance(value, Mapping):
        return
    for name, each in value.items():
        if name.endswith("_at") or name == "deadline":
            try:
                when = parse_time(each) if isinstance(each, str) else 0
            except (ValueError, OverflowError):
                yield f"{path}.{name}: {each!r} is no time. Write it as 2026-01-31T12:00:00Z."
            else:
                # Whatever is made from now on has to be newer, so that one late time would move all others.
                if when > now and name not in ("deadline", "expires_at"):
                    yield f"{path}.{name}: {each} is later than now, {format_time(now)} on the simulator's clock."
        elif name in ("latest_version", "default_example"):
            yield from _times(each, f"{path}.{name}", now)
        elif name == "examples" and isinstance(each, list):
            for index, example in enumerate(each):
                yield from _times(example, f"{path}.examples[{index}]", now)


def _unfit(records: Mapping[str, Any], known: Known) -> Iterator[str]:
    """What leads nowhere, or comes twice."""
    for name, section in SECTIONS.items():
        entries = records.get(name, ())
        keys = [known.key(each, section) for each in entries]
        counts = Counter(keys)
        for index, (entry, key) in enumerate(zip(entries, keys, strict=True)):
            path = f"{name}[{index}]"
            if counts[key] > 1 and key in keys[:index]:
                yield f"{path}: {'/'.join(key)} is there already, as {name}[{keys.index(key)}]. Keep one of them."
            yield from _CHECKS.get(name, _nothing)(entry, path, known)
    yield from _twice_named(records)
    predictions = {each["id"] for each in records.get("predictions", ())}
    for index, each in enumerate(records.get("trainings", ())):
        if each["id"] in predictions:
            yield f"trainings[{index}].id: a prediction has this id, too. Give one of them another."


def _twice_named(records: Mapping[str, Any]) -> Iterator[str]:
    """Aliases that mean two models."""
    named: dict[str, int] = {}
    for index, model in enumerate(records.get("models", ())):
        for at, alias in enumerate(model.get("aliases", ())):
            if (first := named.setdefault(alias, index)) != index:
                yield f"models[{index}].aliases[{at}]: models[{first}] has this name, too. Keep one of them."


def _nothing(entry: Mapping[str, Any], path: str, known: Known) -> Iterator[str]:
    yield from ()


def _model(entry: Mapping[str, Any], path: str, known: Known) -> Iterator[str]:
    yield from _runs_as(entry, path, known)
    if (hardware := entry.get("hardware", "cpu")) not in known.hardware:
        yield f'{path}.hardware: no such hardware as {hardware!r}; load it in "hardware".'
    latest = entry.get("latest_version")
    if latest is not None:
        yield from _version(
            {"model": f"{entry['owner']}/{entry['name']}", **latest}, f"{path}.latest_version", known
        )
    for index, alias in enumerate(entry.get("aliases", ())):
        if known.has_model(alias):
            yield f"{path}.aliases[{index}]: {alias!r} is a model of its own. Choose another name."
    yield from _examples(entry, path, known)
    for deployment, version in known.deployments_of(f"{entry['owner']}/{entry['name']}"):
        if not known.has_version(f"{entry['owner']}/{entry['name']}", version):
            yield (
                f"{path}: the deployment {deployment} is of its version {version}, which would be gone. "
                "Load that version, too, or the deployment."
            )


def _examples(entry: Mapping[str, Any], path: str, known: Known) -> Iterator[str]:
    """What is wrong with the examples of a model, which are predictions of it."""
    model = f"{entry['owner']}/{entry['name']}"
    examples = {f"examples[{index}]": each for index, each in enumerate(entry.get("examples", ()))}
    if entry.get("default_example"):
        examples["default_example"] = entry["default_example"]
    if examples and not known.version_of(model):
        yield f'{path}: examples need a version of the model; load one in "versions", or say "runs_as".'
        return
    for name, example in examples.items():
        if example.get("model", model) != model:
            yield f"{path}.{name}.model: is {example['model']}, and not {model}, of which it is an example."
        elif example.get("version", "hidden") != "hidden" and not known.has_version(
            model, example["version"]
        ):
            yield (
                f"{path}.{name}.version: {model} has no version with this id; "
                'load it in "versions", or leave "version" out.'
            )


def _runs_as(entry: Mapping[str, Any], path: str, known: Known) -> Iterator[str]:
    if "runs_as" in entry and known.runner(entry["runs_as"]) is None:
        near = did_you_mean(entry["runs_as"], known.runners())
        yield f"{path}.runs_as: the simulator has no model {entry['runs_as']!r} that runs.{near}"


def _version(entry: Mapping[str, Any], path: str, known: Known) -> Iterator[str]:
    if not known.has_model(entry["model"]):
        yield f'{path}.model: there is no model {entry["model"]!r}; load it in "models".'
    yield from _runs_as(entry, path, known)
    if not ("openapi_schema" in entry or "runs_as" in entry or known.runs_as(entry["model"])):
        yield f'{path}: say "openapi_schema", and outputs are made up to fit it, or "runs_as", the name of a model.'


def _deployment(entry: Mapping[str, Any], path: str, known: Known) -> Iterator[str]:
    yield from _addressed(entry, path, known)
    if (hardware := entry.get("hardware", "cpu")) not in known.hardware:
        yield f'{path}.hardware: no such hardware as {hardware!r}; load it in "hardware".'
    if entry.get("min_instances", 0) > entry.get("max_instances", 1):
        yield f"{path}.min_instances: must not be greater than max_instances, which is 1 if it is left out."


def _collection(entry: Mapping[str, Any], path: str, known: Known) -> Iterator[str]:
    for index, name in enumerate(entry["models"]):
        if not known.has_model(name):
            yield f'{path}.models[{index}]: there is no model {name!r}; load it in "models".'


def _file(entry: Mapping[str, Any], path: str, known: Known) -> Iterator[str]:
    if "content" in entry and "content_base64" in entry:
        yield f'{path}: say "content", which is a text, or "content_base64", and not both.'
    if entry.get("size") and entry.keys().isdisjoint(CONTENTS) and not known.has_file(entry["id"]):
        yield f'{path}: answers of the API do not have what is in a file. Say "content" or "content_base64", too.'
    try:
        entry.get("content", "").encode()
    except UnicodeEncodeError:
        yield f'{path}.content: has half of a character (U+D800 to U+DFFF). Say "content_base64" for what is no text.'
    try:
        base64.b64decode(entry.get("content_base64", ""), validate=True)
    except (binascii.Error, ValueError):
        yield f"{path}.content_base64: is not base64."
    if entry.get("expires_at") and parse_time(entry["expires_at"]) <= known.now:
        yield f"{path}.expires_at: is in the past, and nobody could see the file. Leave it out, or name a later time."


def _addressed(entry: Mapping[str, Any], path: str, known: Known) -> Iterator[str]:
    """Look up the version that a prediction, a training or a deployment is of."""
    version, model, deployment = (entry.get(name) for name in ("version", "model", "deployment"))
    if deployment is not None and known.deployed(deployment) is None:
        yield f'{path}.deployment: there is no deployment {deployment!r}; load it in "deployments".'
    elif model is not None and not known.has_model(model):
        yield f'{path}.model: there is no model {model!r}; load it in "models".'
    elif version in (None, "hidden"):
        named = model or known.deployed(deployment)
        if named is None:
            yield f'{path}: say which "version" or "model" it is of.'
        elif not known.version_of(named):
            yield f'{path}.model: {named!r} has no version; load one in "versions".'
    elif model is not None and known.has_version(model, version):
        return
    elif (found := known.model_with(version)) is None:
        yield f'{path}.version: no version with this id; load it in "versions".'
    elif model is not None:
        yield f"{path}.version: is one of {found}, and not of {model}."


_CHECKS = {
    "models": _model,
    "versions": _version,
    "deployments": _deployment,
    "collections": _collection,
    "files": _file,
    "predictions": _addressed,
    "trainings": _addressed,
}
