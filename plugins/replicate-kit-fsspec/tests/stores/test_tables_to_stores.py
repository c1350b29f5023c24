"""Tables go to stores and nothing that was paid for is lost, whatever becomes of the source or the store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from replicate_kit import Client, SaveTo
from replicate_kit.errors import ConfigError, FileError, ReplicateError
from replicate_kit.simulator import Simulator
from replicate_kit_fsspec import manifest

from .servers import Store, free_port

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> Simulator:
    """A model that takes its time to draw, and an API that may forget its outputs after some seconds."""
    simulator = Simulator(retention=getattr(request, "param", 3600))

    @simulator.model("acme/draw")
    def draw(prompt: str, seconds: float = 0.0) -> list[bytes]:
        time.sleep(seconds)
        return [b"\x89PNG\r\n\x1a\n" + prompt.encode()]

    return simulator


@pytest.fixture
def api(simulator: Simulator) -> Iterator[Client]:
    """A client of it."""
    with Client(backend=simulator, poll_interval=0.01) as client:
        yield client


def created(client: Client) -> int:
    """How many predictions there are."""
    return sum(1 for _ in client.predictions.list_all())


@pytest.mark.parametrize("simulator", [2.0], indirect=True)
def test_hundred_rows_are_saved_while_their_sources_expire_behind_them(store: Store, api: Client) -> None:
    df = pd.DataFrame({"prompt": [f"hill {number}" for number in range(100)]}, index=range(500, 600))
    output = df["prompt"].replicate.run(
        "acme/draw",
        input={"seconds": 0.25},
        client=api,
        concurrency=8,
        save_to=store.url,
        storage_options=store.options,
    )
    assert output.index.tolist() == df.index.tolist()
    for prompt, url in zip(df["prompt"], output, strict=True):
        assert store.fs.cat_file(url) == b"\x89PNG\r\n\x1a\n" + prompt.encode()
    predictions = list(api.predictions.list_all())
    assert len(store.names()) == len(predictions) == 100
    # The run took longer than outputs are kept: the first of them were gone before the last were made.
    assert [each["output"] for each in predictions[-8:]] == [None] * 8


def refused(
    api: Client, url: str, options: dict[str, Any], match: str, kind: type[ReplicateError] = FileError
) -> None:
    """See that run, map and plan all refuse a store before they create anything."""
    rows = [{"prompt": f"hill {number}"} for number in range(5)]
    with pytest.raises(kind, match=match):
        api.plan("acme/draw", rows, save_to=url, storage_options=options)
    with (
        pytest.raises(kind, match=match),
        api.map("acme/draw", rows, save_to=url, storage_options=options) as batch,
    ):
        list(batch)
    with pytest.raises(kind, match=match):
        api.run("acme/draw", rows[0], save_to=url, storage_options=options)
    assert created(api) == 0


@pytest.mark.parametrize("server", ["azurite", "rclone"], indirect=True)  # the others accept anybody
def test_wrong_credentials_cost_nothing(store: Store, api: Client) -> None:
    refused(api, store.url, store.wrong, "does not know the credentials")


def test_missing_bucket_costs_nothing(store: Store, api: Client) -> None:
    refused(api, f"{store.url}-not-made/set", store.options, "there is no bucket .*Create it")


@pytest.mark.parametrize("server", ["moto", "rclone"], indirect=True)
def test_no_credentials_cost_nothing(
    store: Store, api: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    nobody = {key: value for key, value in store.options.items() if key not in ("key", "secret")}
    refused(api, store.url, nobody, "there are no credentials")


@pytest.mark.parametrize("server", ["moto"], indirect=True)
def test_server_that_is_not_there_costs_nothing(store: Store, api: Client) -> None:
    nowhere = {**store.options, "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    refused(api, store.url, nowhere, "cannot be reached")


WRONG: dict[str, dict[str, tuple[dict[str, Any], str]]] = {
    "s3": {
        "endpoint": ({"endpoint": "http://127.0.0.1:9"}, "s3 takes no 'endpoint', pass endpoint_url instead"),
        "boto": ({"aws_access_key_id": "a"}, "pass key"),
        "region": ({"region_name": "eu-west-1"}, r"pass client_kwargs=\{'region_name': …\} instead"),
        "nested": ({"s3": {"endpoint": "x"}}, "pass endpoint_url"),
        "inside": ({"client_kwargs": {"region": "eu"}}, "client_kwargs takes no 'region', pass 'region_name'"),
        "type": ({"key": 5}, "'key' must be a text"),
        "address": ({"endpoint_url": "127.0.0.1:9000"}, "must begin with http"),
        "config": ({"config_kwargs": {"brand_new": 3}}, "unexpected keyword argument 'brand_new'.*is in config_kwargs"),
        "value": ({"config_kwargs": {"retries": "many"}}, "cannot be opened with these storage_options"),
        "profile": ({"key": None, "secret": None, "profile": "nobody"}, "ProfileNotFound.*Given were: .*'profile'"),
    },
    "gs": {
        "boto": ({"key": "a"}, "gs takes no 'key', pass token"),
        "misspelt": ({"prject": "a"}, "pass project instead"),
        "address": ({"endpoint_url": "127.0.0.1:9"}, "must begin with http"),
        "type": ({"project": 5}, "'project' must be a text"),
    },
    "abfs": {
        "misspelt": ({"acount_name": "a"}, "pass account_name instead"),
        "boto": ({"key": "a"}, "pass account_key instead"),
        "endpoint": ({"endpoint_url": "http://a"}, "pass account_host or connection_string instead"),
        "type": ({"connection_string": 5}, "must be a text"),
        "value": ({"connection_string": "nonsense"}, "cannot be opened with these storage_options"),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({name for each in WRONG.values() for name in each}))
def test_wrong_options_cost_nothing(store: Store, api: Client, name: str) -> None:
    wrong = WRONG[store.url.partition("://")[0]].get(name)
    if wrong is None:
        return  # this kind of mistake belongs to another store
    refused(api, store.url, {**store.options, **wrong[0]}, wrong[1], ConfigError)
    assert store.names() == []


@pytest.mark.parametrize("server", ["rclone"], indirect=True)
def test_credentials_that_are_set_after_a_failure_work_in_the_same_process(
    store: Store, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    nobody = {key: value for key, value in store.options.items() if key not in ("key", "secret")}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", store.options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the secret")
    refused(api, store.url, nobody, "does not know the credentials|may not be written to")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store.options["secret"])
    picture, *_ = api.run("acme/draw", {"prompt": "a hill"}, save_to=store.url, storage_options=nobody)
    fsspec.filesystem("s3").clear_instance_cache()
    assert store.fs.cat_file(picture).endswith(b"a hill")


@pytest.mark.parametrize("server", ["moto"], indirect=True)
def test_credentials_that_may_not_write_cost_nothing(
    store: Store, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    real = S3FileSystem.call_s3

    def call(self: S3FileSystem, method: str, *args: Any, **options: Any) -> Any:
        if method in ("create_multipart_upload", "put_object"):
            raise PermissionError("Access Denied")
        return real(self, method, *args, **options)

    monkeypatch.setattr(S3FileSystem, "call_s3", call)
    refused(api, store.url, store.options, r"may not be written to .*Access Denied.*right to write")


def test_a_check_leaves_neither_objects_nor_uploads(store: Store, api: Client) -> None:
    save_to = SaveTo(f"{store.url}/set", manifest=True, if_exists="error", options=store.options)
    api.plan("acme/draw", [{"prompt": "a hill"}], save_to=save_to)
    assert store.names() == []
    assert store.unfinished() == []


@pytest.mark.parametrize("server", ["moto"], indirect=True)
def test_whoever_may_write_need_not_list(store: Store, api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem
    from s3fs.errors import translate_boto_error

    class Denied(Exception):
        response: ClassVar[dict[str, Any]] = {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}

    asked: list[str] = []

    async def refuse(self: S3FileSystem, path: str, **_: object) -> None:
        asked.append(path)
        raise translate_boto_error(Denied())

    monkeypatch.setattr(S3FileSystem, "_lsdir", refuse)
    picture, *_ = api.run("acme/draw", {"prompt": "a hill"}, save_to=store.url, storage_options=store.options)
    assert asked == [store.url.partition("://")[2]]
    assert store.fs.cat_file(picture).endswith(b"a hill")


def test_template_and_manifest_of_a_table(store: Store, api: Client) -> None:
    save_to = SaveTo(f"{store.url}/set", name="{row:03}-{prompt}{ext}", manifest=True, options=store.options)
    with api.map("acme/draw", [{"prompt": "a hill"}, {"prompt": "../a sea"}], save_to=save_to) as batch:
        results = list(batch)
    assert [each.output for each in results] == [
        [f"{store.url}/set/000-a-hill.png"],
        [f"{store.url}/set/001-a-sea.png"],
    ]
    records = manifest.read(f"{store.url}/set", store.options)
    assert {name: record.row for name, record in records.items()} == {"000-a-hill.png": 0, "001-a-sea.png": 1}
    assert [each.problem for each in manifest.verify(f"{store.url}/set", store.options)] == [None, None]
