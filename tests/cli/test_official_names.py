"""What docs/command-line.md says to type for each command of Replicate's own command line does what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit.serving import Server

Invoke = Callable[..., Result]

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
ROWS = re.findall(r"^\| `replicate ([^`]+)` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
COMMANDS = [
    (official, here[1]) for official, said in ROWS if (here := re.match(r"`replicate-kit ([^`]+)`", said))
]

# Commands of the Go client, github.com/replicate/cli, by their own names.
OFFICIAL = (
    *("run", "stream", "train", "scaffold", "prediction create", "prediction list", "prediction show"),
    *("model create", "model list", "model show", "model schema", "training create", "training list"),
    *("training show", "deployments create", "deployments list", "deployments show", "deployments schema"),
    *("deployments update", "hardware list", "account current", "completion", "auth login"),
)


@pytest.fixture
def served(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A service that the commands use, as one of Replicate's own would."""
    with Server(https=False, port=0) as server:
        monkeypatch.setenv("REPLICATE_BASE_URL", server.url)
        monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_any")
        monkeypatch.setenv("REPLICATE_KIT_BACKEND", "http")
        yield


@pytest.fixture
def ids(served: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What an account has that these commands show, by the group that shows it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(click, "launch", lambda _: 0)
    Path("wombat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    client, flux = Client(backend="http"), "black-forest-labs/flux-schnell"
    client.models.create("local", "mine", visibility="private", hardware="cpu")
    version = client.models.get(flux).latest_version.id
    client.deployments.create(
        "pictures", model=flux, version=version, hardware="cpu", min_instances=0, max_instances=1
    )
    trained = client.models.get("stability-ai/sdxl").latest_version
    training = client.trainings.create(
        trained, input={"input_images": "https://example.com/a.zip"}, destination="local/mine"
    )
    prediction = client.predictions.create(model=flux, input={"prompt": "sea"})
    return {"prediction": prediction.id, "training": training.id, "deployments": version}


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_table_has_every_command(name: str) -> None:
    assert any(official.startswith(f"{name} ") or official == name for official, _ in ROWS)


@pytest.mark.parametrize(("official", "here"), COMMANDS, ids=[official for official, _ in COMMANDS])
def test_what_is_typed_here_works(invoke: Invoke, ids: dict[str, str], official: str, here: str) -> None:
    group, *rest = shlex.split(here)
    token = "r8_any" if group == "auth" else None
    result = invoke(group, *(ids[group] if word == "ID" else word for word in rest), stdin=token)
    assert (result.exit_code, bool(result.stdout)) == (0, True), result.output
    if "…" not in official:  # it is all there, and typed in the same words
        assert official == here


def test_a_command_that_is_not_here_says_what_is_instead(invoke: Invoke) -> None:
    result = invoke("scaffold", "acme/wombats")
    assert result.exit_code == 2
    assert "There is no command 'scaffold'. It makes a project for Node.js or Python" in result.stderr
