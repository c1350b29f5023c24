"""One tree of errors: as drawn, picklable, and each with a next step."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import re
from typing import Any

import httpx
import pytest

from replicate_kit import Client, errors
from replicate_kit.errors import ReplicateError
from replicate_kit.resources.predictions import Prediction

PUBLIC = {name: getattr(errors, name) for name in errors.__all__}


def drawn() -> dict[str, tuple[str, str | None]]:
    """Read the drawing in the module's docstring: each error, the one above it, and the builtin in brackets."""
    found: dict[str, tuple[str, str | None]] = {}
    above = ["ReplicateError"]
    for line in (errors.__doc__ or "").splitlines():
        if "──" not in line:
            continue
        depth = 1 if line.startswith(("├", "└")) else 2
        text = line.split("── ", 1)[1]
        names = re.findall(
            r"([A-Z]\w+)(?: \(([A-Z]\w+)\))?(?= ·|  |$| \(\d|\s*$| \()", text.partition("   ")[0] + "  "
        )
        for name, builtin in names:
            if name in PUBLIC:
                found[name] = (above[depth - 1], builtin or None)
                above[depth:] = [name]
    return found


def test_the_tree_is_as_it_is_drawn() -> None:
    tree = drawn()
    assert set(tree) | {"ReplicateError"} == set(PUBLIC)
    for name, (parent, builtin) in tree.items():
        kind = PUBLIC[name]
        assert issubclass(kind, PUBLIC[parent]), f"{name} is drawn below {parent}"
        if builtin is not None:
            assert issubclass(kind, getattr(builtins, builtin)), f"{name} is drawn as a {builtin}"


def test_every_error_is_public_and_says_what_it_is() -> None:
    defined = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, ReplicateError) and kind.__module__ == errors.__name__
    }
    assert defined - {"RequestError"} == set(errors.__all__)
    assert all(kind.__doc__ for kind in PUBLIC.values())


def examples() -> list[ReplicateError]:
    """One of each kind."""
    request = httpx.Request(
        "POST", "https://api.test/v1/predictions", headers={"Authorization": "Bearer r8_secret"}
    )
    prediction = Prediction({"id": "p1", "status": "failed", "error": "out of memory"})
    special: dict[str, dict[str, Any]] = {
        "UncertainCreate": {
            "path": "/v1/predictions",
            "body": {"input": {}},
            "sent_at": 1.0,
            "request": request,
        },
        "BatchError": {"results": [1], "journal": "rows.sqlite"},
    }
    made: list[ReplicateError] = []
    for name, kind in PUBLIC.items():
        if issubclass(kind, errors.MissingExtraError):
            made.append(kind("save_to='s3://bucket'", "s3"))
        elif issubclass(kind, errors.APIError):
            made.append(
                kind(
                    "what happened",
                    status=429,
                    title="t",
                    detail="d",
                    body={},
                    headers={"A": "1"},
                    retry_after=3.0,
                    request=request,
                )
            )
        elif issubclass(kind, errors.TransportError):
            made.append(kind("what happened", request=request))
        elif issubclass(kind, errors.PredictionError):
            made.append(kind("what happened", prediction=prediction))
        else:
            made.append(kind("what happened", **special.get(name, {})))
    return made


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"]
)
def test_an_error_travels_with_all_it_knows_but_the_request(error: ReplicateError, travel: Any) -> None:
    error.add_note("seen on the way")
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert arrived.args == error.args
    assert arrived.__notes__ == error.__notes__
    kept = {key: value for key, value in vars(error).items() if key != "request"}
    assert {key: value for key, value in vars(arrived).items() if key != "request"} == kept
    assert b"r8_secret" not in pickle.dumps(error)


def test_builtin_handlers_catch_what_they_should() -> None:
    for kind, builtin in (
        (errors.PredictionTimeout, TimeoutError),
        (errors.RequestTimeout, TimeoutError),
        (errors.FileExpired, OSError),
        (errors.InputError, ValueError),
        (errors.MissingExtraError, ImportError),
    ):
        assert issubclass(kind, builtin)


def test_a_missing_part_says_how_to_install_it() -> None:
    error = errors.MissingExtraError("save_to='s3://bucket'", "s3")
    assert (
        str(error)
        == "save_to='s3://bucket' needs an optional part. Install it with: pip install \"replicate-kit[s3]\""
    )


def test_without_a_token_the_mock_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        errors.MissingToken, match=r"auth login`, or set REPLICATE_API_TOKEN .*Client\(backend='mock'\)"
    ):
        Client().models.get("acme/shout")
