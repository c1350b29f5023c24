"""`replicate-kit deployments` on the mock."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit.simulator import default

Invoke = Callable[..., Result]

CREATE = ("deployments", "create", "painters", "--model", "demo/painter", "--hardware", "cpu")


def test_a_deployment_runs_the_latest_version_and_no_machine_always(invoke: Invoke) -> None:
    assert invoke("deployments", "list").stderr == "There are no deployments in this account.\n"
    release = json.loads(invoke(*CREATE, "--json").stdout)["current_release"]
    assert release["version"] == default().version("demo/painter")
    assert release["configuration"] == {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
    shown = dict(
        line.split("\t", 1) for line in invoke("deployment", "show", "local/painters").stdout.splitlines()
    )
    assert (shown["deployment"], shown["max instances"]) == ("local/painters", "1")
    line = invoke("deployments", "list").stdout.rstrip("\n").split("\t")
    assert line == ["local/painters", "demo/painter", "cpu", "0-1", shown["released"], release["version"]]
    assert json.loads(invoke("deployments", "list", "--json").stdout)[0]["name"] == "painters"


def test_names_of_the_other_command_line_are_taken(invoke: Invoke) -> None:
    version = default().version("demo/painter")
    command = ("deployment", "create", "local/painters", "--sku", "gpu-t4", "--max-instances", "2")
    made = invoke(*command, "--model", f"demo/painter:{version}", "--json")
    assert json.loads(made.stdout)["current_release"]["configuration"]["hardware"] == "gpu-t4"


@pytest.mark.parametrize(
    "command", [CREATE, ("deployments", "update", "local/painters")], ids=lambda each: each[1]
)
def test_machines_that_run_always_are_asked_about(invoke: Invoke, command: tuple[str, ...]) -> None:
    if command[1] == "update":
        invoke(*CREATE)
    refused = invoke(*command, "--min-instances", 2, stdin="n\n")
    assert refused.exit_code == 1
    assert "machines run and cost money always. Go on? [y/N]" in refused.stderr
    releases = [each.current_release for each in Client(backend="mock").deployments.list()]
    assert all(each and each.configuration["min_instances"] == 0 for each in releases)
    done = invoke(*command, "--min-instances", 2, "--max-instances", 3, "--yes")
    assert "min instances\t2\n" in done.stdout


def test_machines_that_run_always_do_not_become_others_unasked(invoke: Invoke) -> None:
    invoke(*CREATE, "--min-instances", 1, "--yes")
    refused = invoke("deployments", "update", "local/painters", "--hardware", "gpu-t4", stdin="")
    assert refused.exit_code == 1
    assert "Nothing was done. Pass --yes to answer with yes." in refused.stderr
    assert "machines run and cost money always. Go on? [y/N]" in refused.stderr
    (deployment,) = Client(backend="mock").deployments.list()
    assert deployment.current_release
    assert deployment.current_release.configuration["hardware"] == "cpu"


def test_update_changes_what_is_given_and_delete_asks(invoke: Invoke) -> None:
    invoke(*CREATE)
    changed = json.loads(
        invoke("deployments", "update", "local/painters", "--max-instances", "4", "--json").stdout
    )
    assert changed["current_release"]["number"] == 2
    assert changed["current_release"]["configuration"] == {
        "hardware": "cpu",
        "min_instances": 0,
        "max_instances": 4,
    }
    assert invoke("deployments", "delete", "local/painters", stdin="\n").exit_code == 1
    assert invoke("deployments", "delete", "local/painters", "--yes").stdout == "local/painters is deleted\n"
    invoke(*CREATE)
    as_json = invoke("deployments", "delete", "local/painters", "--yes", "--json").stdout
    assert json.loads(as_json) == {"deleted": "local/painters"}


@pytest.mark.parametrize("name", ["local/painters", "deployments/local/painters"])
def test_schema_shows_what_a_deployment_takes(invoke: Invoke, name: str) -> None:
    invoke(*CREATE)
    assert invoke("deployments", "schema", name).stdout == invoke("models", "schema", "demo/painter").stdout


@pytest.mark.parametrize(
    "wrong",
    [
        CREATE[:-2],
        (*CREATE[:3], *CREATE[5:]),
        (*CREATE, "--min-instances", "6"),
        (*CREATE, "--max-instances", "-1"),
        (*CREATE, "--version", "abc"),
        (*CREATE[:4], f"demo/painter:{'a' * 64}", *CREATE[5:], "--version", "a" * 64),
        ("deployments", "update", "local/painters"),
        ("deployments", "get", "painters"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(invoke: Invoke, wrong: tuple[str, ...]) -> None:
    result = invoke(*wrong)
    assert result.exit_code == 2, result.output
    assert not Client(backend="mock").deployments.list().results
