"""What a job refuses on the driver, before a graph is built."""

from __future__ import annotations

import os
import pickle
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
import pytest

from replicate_kit import Budget, Client, SaveTo, col, hookimpl, template
from replicate_kit.batch import MapOptions
from replicate_kit.errors import ConfigError, InputError, MissingToken, ReplicateError
from replicate_kit.partitions import ClientSettings, Job, PartitionOptions
from replicate_kit.partitions._options import _REFUSED
from replicate_kit.simulator import Simulator
from replicate_kit.tables import Cells, Columns, OneColumn

JOURNAL = "postgresql://u@127.0.0.1:1/nowhere"


def job(**options: Any) -> Job:
    input = options.pop("input", None)
    options = {"client": Client(backend="mock"), "journal": JOURNAL, **options}
    return Job.of("acme/poet", input, options, "run", empty=Columns(["title"], lambda _: Cells([], []), 0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"journal": None}, "journal= is missing"),
        ({"journal": "poems.sqlite"}, "is a file of one machine"),
        ({"journal": "postgresql://u@h/db?prefix=A B"}, "prefix"),
        ({"journal": "redis://h"}, "no package is installed"),
        ({"dedupe": False}, "a seed in a column"),
        ({"on_plan": print}, "client.plan"),
        ({"progress": print}, "on the driver"),
        ({"stems": print}, "within their partition"),
        ({"limit": 5}, "head"),
        ({"retry": "failed"}, "journals.retry"),
        ({"retry": ("failed",)}, "journals.retry"),
        ({"refresh_version": True}, "owner/name:version"),
        ({"budget": 5, "price": 1}, "per='journal'"),
        ({"budget": Budget(predictions=5)}, "all partitions spend that together"),
        ({"save_to": "s3://bucket/{row}{ext}"}, "by an input"),
        ({"save_to": SaveTo("s3://bucket", options={"lock": open})}, None),
        (
            {"storage_options": {"key": (each for each in ())}, "save_to": "s3://b"},
            "cannot be sent to workers",
        ),
        ({"send_token": "yes"}, "send_token"),
        ({"label": "n" * 81}, "1 to 80 characters"),
        ({"label": " a"}, "1 to 80 characters"),
        ({"progress": "yes"}, "must be True, False or None."),
        ({"ordered": True}, "order of its rows"),
        ({"storage_options": {"key": "k"}}, "save_to="),
        ({"journal": "s3://bucket"}, "Pass the URL of a database, such as 'postgresql://"),
        ({"label": 7}, "label"),
        ({"concurrency": 0}, "concurrency"),
        ({"errors": "ignore"}, "errors"),
        ({"files": "all"}, "files"),
        ({"client": "mine"}, "must be a Client"),
        ({"seed": 7}, "input={'seed': 7}"),
    ],
)
def test_options_are_checked_before_anything_runs(options: dict[str, Any], said: str | None) -> None:
    if said is None:
        job(**options)
        return
    with pytest.raises(ConfigError) as raised:
        job(**options)
    assert said in str(raised.value)


@pytest.mark.parametrize("name", ["tokn", "api_token", "client", "send_token", "files"])
def test_a_token_that_was_given_to_another_option_is_not_shown(name: str) -> None:
    with pytest.raises(ReplicateError) as raised:
        job(**{name: "r8_hunter2hunter2"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        {"dedupe": True},
        {"retry": ()},
        {"refresh_version": False},
        {"limit": None},
        {"progress": False},
        {"label": "nightly", "journal_inputs": "hash", "cancel_after": "10m", "price": 0.1, "patience": 5},
        {"save_to": "s3://bucket/{prompt}{ext}", "storage_options": {"key": "k"}},
    ],
)
def test_what_means_the_same_in_parts_is_taken(options: dict[str, Any]) -> None:
    assert pickle.loads(pickle.dumps(job(**options))).options["journal"] == JOURNAL


def test_each_option_of_map_is_taken_or_refused_with_a_reason() -> None:
    taken = set(PartitionOptions.__optional_keys__)
    assert set(MapOptions.__optional_keys__) - taken == set(_REFUSED) - {"limit"}
    assert not taken & set(_REFUSED)


def test_a_folder_is_the_same_on_each_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert job(save_to="pictures").options["save_to"].folder == os.path.join(tmp_path, "pictures")


@pytest.mark.parametrize(
    ("input", "error"), [({"prompt": col("titel")}, "Did you mean 'title'"), ({"prompt": "sea"}, "column")]
)
def test_columns_that_are_not_there_are_named(input: dict[str, Any], error: str) -> None:
    with pytest.raises(InputError, match=error):
        job(input=input)


@pytest.mark.parametrize(
    ("input", "error"),
    [
        ("hello", "names what fills"),
        ({"prompt": col("title")}, "title"),
        ({"size": template("{title}")}, "title"),
        ({"prompt": template("{}, at sea"), "size": 7, "seed": lambda value: 7}, None),
    ],
)
@pytest.mark.parametrize("into", [None, "mood"])
def test_what_cannot_be_meant_over_a_series_is_said(input: Any, error: str | None, into: str | None) -> None:
    series = OneColumn("title of them", Cells.of([]))
    options = {"client": Client(backend="mock"), "journal": JOURNAL, "into": into}
    with nullcontext() if error is None else pytest.raises(InputError, match=error):
        Job.of("acme/poet", input, options, "run", empty=series)


def test_an_input_that_is_not_a_mapping_is_refused_without_columns_as_well() -> None:
    with pytest.raises(InputError, match="names what fills"):
        Job.of("acme/poet", "hello", {"journal": JOURNAL}, "run")  # type: ignore[arg-type]


def test_an_input_that_cannot_be_pickled_says_what_to_do() -> None:
    job(input={"prompt": col("title")}).check_sendable(pickle.dumps)
    with pytest.raises(InputError, match="within the function"):
        job(input={"prompt": col("title"), "lock": Lock()}).check_sendable(pickle.dumps)


def local_plugin() -> Any:
    class Plugin:
        @hookimpl
        def replicate_prediction_changed(self) -> None:
            """Do nothing."""

    return Plugin()


CREDENTIALS: list[tuple[str, Any]] = [
    ("headers", {"Authorization": "Bearer t"}),
    ("headers", {b"authorization": b"Bearer t"}),
    ("headers", [("Proxy-Authorization", "Basic t")]),
    ("headers", [(b"X-Api-Key", b"t")]),
    ("headers", httpx.Headers({"X-Auth-Token": "t"})),
    ("cookies", {"id": "t"}),
    ("params", {"api_key": "t"}),
    ("params", [("access_token", "t")]),
    ("params", "page=1&sig=t"),
    ("proxy", "http://me:secret@127.0.0.1:9"),
    ("proxy", httpx.URL("http://me:secret@127.0.0.1:9")),
    ("proxy", httpx.Proxy("http://127.0.0.1:9", auth=("me", "secret"))),
    ("proxy", httpx.Proxy("http://127.0.0.1:9", headers={"Proxy-Authorization": "Basic t"})),
]


def refused_clients() -> list[Any]:
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    return [
        pytest.param({"transport": transport}, "transport=", id="transport"),
        pytest.param({"auth": lambda request: request}, "auth=", id="function"),
        pytest.param({"auth": ("u", "p")}, "send_token=True", id="password"),
        *(
            pytest.param(
                {name: value}, f"{name}=, and they go to workers with send_token=True", id=f"{name} {n}"
            )
            for n, (name, value) in enumerate(CREDENTIALS)
        ),
        pytest.param({"event_hooks": {"request": [print]}}, "event_hooks=", id="hooks"),
        pytest.param({"plugins": [local_plugin()]}, "plugins=", id="plugin"),
    ]


@pytest.mark.parametrize(("options", "said"), refused_clients())
def test_what_lives_in_one_process_is_refused(options: dict[str, Any], said: str) -> None:
    with Client(backend="http", **options) as client, pytest.raises(ConfigError) as raised:
        ClientSettings(client)
    assert said in str(raised.value)


@pytest.mark.parametrize(("name", "value"), CREDENTIALS)
def test_credentials_travel_with_the_token(name: str, value: Any) -> None:
    options: Any = {name: value}
    with Client(backend="http", base_url="http://localhost:7", **options) as client:
        sent = pickle.dumps(ClientSettings(client, send_token=True))
    assert name in pickle.loads(sent).client().config.http_options


def test_a_simulator_of_this_process_is_refused() -> None:
    with (
        Simulator() as simulator,
        Client(backend=simulator) as client,
        pytest.raises(ConfigError, match="one that is served"),
    ):
        ClientSettings(client)


def test_settings_travel_and_the_token_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_driver")
    options: Any = {
        "headers": {"X-Team": "surf"},
        "params": {"page": "1"},
        "proxy": "http://127.0.0.1:9",
        "timeout": 5,
    }
    sent = pickle.dumps(ClientSettings(Client("r8_given", base_url="http://localhost:7", **options)))
    assert b"r8_" not in sent
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_worker")
    config = pickle.loads(sent).client().config
    assert (config.base_url, config.timeout, config.api_token) == ("http://localhost:7/v1", 5.0, "r8_worker")
    options.pop("timeout")
    assert config.http_options == options


@pytest.mark.parametrize("given", ["r8_given", None])
def test_the_token_travels_where_that_is_asked_for(
    given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_driver")
    sent = pickle.dumps(ClientSettings(Client(given), send_token=True))
    monkeypatch.delenv("REPLICATE_API_TOKEN")
    assert pickle.loads(sent).client().config.api_token == (given or "r8_driver")


def test_a_worker_without_a_token_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    with pytest.raises(MissingToken, match="send_token=True"):
        ClientSettings(Client("r8_given", backend="http")).client()


def test_the_default_client_goes_where_the_driver_would_have_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ClientSettings(Client(backend="mock"))
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "http")
    assert settings.client().config.backend == "mock"
    assert settings.client() is pickle.loads(pickle.dumps(settings)).client()
