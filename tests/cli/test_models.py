"""`replicate-kit models` on the mock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit.resources.versions import Versions
from replicate_kit.simulator import default

Invoke = Callable[..., Result]


def test_list_names_models(invoke: Invoke) -> None:
    lines = invoke("models", "list", "--limit", 2).stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("demo/") for line in lines)
    assert len(json.loads(invoke("models", "list", "--json").stdout)) >= 5


def test_get_shows_what_is_known_of_a_model(invoke: Invoke) -> None:
    assert "model\tdemo/poet\n" in invoke("models", "get", "demo/poet").stdout
    assert json.loads(invoke("models", "get", "demo/poet", "--json").stdout)["name"] == "poet"


def test_inputs_shows_types_defaults_and_limits(invoke: Invoke) -> None:
    rows = {line.split("\t")[0]: line.split("\t")[1:4] for line in _lines(invoke, "demo/painter")}
    assert rows["prompt"] == ["string", "required", ""]
    assert rows["width"] == ["integer", "512", "16…2048"]
    assert rows["style"] == ["string", "auto", "auto, mountains, waves"]
    as_json = json.loads(invoke("models", "inputs", "demo/painter", "--json").stdout)
    assert as_json["required"] == ["prompt"]


def test_inputs_of_an_unknown_model_is_an_error(invoke: Invoke) -> None:
    result = invoke("models", "inputs", "nobody/nothing")
    assert result.exit_code == 1
    assert "nobody/nothing" in result.stderr


WRONG = (
    *(
        "",
        " ",
        "/",
        "demo",
        "demo/",
        "/painter",
        "demo/painter/x",
        "demo painter",
        "demo/painter:",
        "a/b:c:d",
    ),
    *("..", "../..", "demo/..", "./painter", "deployments/demo", "deployments/a/b:c", "deployments/../b"),
    *("demo/p\0x", "demo/p\nx", "demo/\ud800", "https://replicate.com/", "https://replicate.com/explore"),
    *("http://example.com/a/b", "demo/painter:zzz", f"demo/painter:{'0' * 63}", f"demo/painter:{'Z' * 64}"),
)


@pytest.mark.parametrize("model", WRONG)
@pytest.mark.parametrize(
    "command",
    [("models", "get"), ("models", "inputs"), ("run",), ("stream",), ("map",)],
    ids=lambda command: command[-1],
)
def test_what_names_no_model_is_wrong_usage(
    invoke: Invoke, tmp_path: Path, command: tuple[str, ...], model: str
) -> None:
    (tmp_path / "t.csv").write_text("prompt\nsea\n")
    arguments = {"map": (tmp_path / "t.csv",), "run": ("prompt=sea",), "stream": ("prompt=sea",)}
    before = default().created
    result = invoke(*command, model, *arguments.get(command[0], ()))
    assert (result.exit_code, default().created) == (2, before), result.output
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("model", [f"demo/painter:{'0' * 64}", "0" * 64])
def test_a_schema_that_the_api_does_not_show_is_no_wrong_usage(invoke: Invoke, model: str) -> None:
    result = invoke("models", "inputs", model)
    assert result.exit_code == 1
    assert f"The API shows no schema of {model}." in result.stderr


def test_search_finds_models_by_words(invoke: Invoke) -> None:
    assert invoke("models", "search", "painter").stdout.startswith("demo/painter\t")
    assert json.loads(invoke("models", "search", "demo", "painter", "--json").stdout)[0]["name"] == "painter"
    none = invoke("models", "search", "xyzzy")
    assert (none.stdout, none.stderr) == ("", "No public model has these words. Try fewer, or other ones.\n")
    none = invoke("models", "search", "xyzzy", "--json")
    assert (json.loads(none.stdout), none.stderr) == ([], "")


def test_schema_shows_what_a_model_takes_and_gives(invoke: Invoke) -> None:
    lines = [line.split("\t") for line in invoke("models", "schema", "demo/painter").stdout.splitlines()]
    assert ["input", "width", "integer", "512", "16…2048", "In pixels"] in lines
    assert lines[-1][:3] == ["output", "", "list of files"]
    document = json.loads(invoke("models", "schema", "demo/painter", "--json").stdout)
    assert document == Client(backend="mock").models.get("demo/painter").latest_version["openapi_schema"]


def test_a_model_is_made_changed_and_deleted(invoke: Invoke) -> None:
    made = invoke("models", "create", "local/mine", "--hardware", "cpu", "--description", "old", "--json")
    assert json.loads(made.stdout)["visibility"] == "private"
    assert "description\tnew\n" in invoke("models", "update", "local/mine", "--description", "new").stdout
    refused = invoke("models", "delete", "local/mine", stdin="n\n")
    assert refused.exit_code == 1
    assert "Delete the model local/mine for good? [y/N]" in refused.stderr
    assert invoke("models", "delete", "local/mine", "--yes").stdout == "local/mine is deleted\n"
    invoke("models", "create", "local/mine", "--hardware", "cpu")
    as_json = invoke("models", "delete", "local/mine", "--yes", "--json").stdout
    assert json.loads(as_json) == {"deleted": "local/mine"}
    assert invoke("models", "get", "local/mine").exit_code == 1


def test_delete_deletes_the_version_that_is_named_and_not_its_model(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(Versions, "delete", lambda _, id: deleted.append(id))
    result = invoke("models", "delete", f"demo/painter:{'a' * 64}", "--yes")
    assert (result.exit_code, deleted) == (0, ["a" * 64])
    assert invoke("models", "get", "demo/painter").exit_code == 0


def test_versions_examples_and_readme_of_a_model(invoke: Invoke) -> None:
    latest = Client(backend="mock").models.get("demo/painter").latest_version
    assert latest
    assert invoke("models", "versions", "demo/painter").stdout.split("\t")[0] == latest.id
    assert json.loads(invoke("models", "versions", "demo/painter", "--json").stdout)[0]["id"] == latest.id
    assert invoke("models", "readme", "demo/painter").stdout.startswith("# painter\n")
    none = invoke("models", "examples", "demo/painter")
    assert (none.stdout, none.stderr) == ("", "demo/painter has no examples.\n")
    default().example("demo/painter", input={"prompt": "sea"}, output=["https://example.com/a.png"])
    assert json.loads(invoke("models", "examples", "demo/painter", "--json").stdout)[0]["input"] == {
        "prompt": "sea"
    }
    assert "\tsucceeded\t" in invoke("models", "examples", "demo/painter").stdout


@pytest.mark.parametrize(
    "wrong",
    [
        ("create", "mine", "--hardware", "cpu"),
        ("create", "local/mine"),
        ("create", f"local/mine:{'a' * 64}", "--hardware", "cpu"),
        ("create", "deployments/local/mine", "--hardware", "cpu"),
        ("update", "local/mine"),
        ("delete", "deployments/local/mine", "--yes"),
        ("delete", "demo/painter:abc", "--yes"),
        ("list", "--sort-by", "taste"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(invoke: Invoke, wrong: tuple[str, ...]) -> None:
    assert invoke("models", *wrong).exit_code == 2


def _lines(invoke: Invoke, model: str) -> list[str]:
    return invoke("models", "inputs", model).stdout.splitlines()
