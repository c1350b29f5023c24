"""Wrong options, credentials and places are told before anything is paid for, and mended in the same process."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from replicate_kit import Client, SaveTo
from replicate_kit._runtime.blocking import run
from replicate_kit.errors import ConfigError, FileError, InputError, ReplicateError
from replicate_kit.simulator import Simulator
from replicate_kit.stores._saving import check_target
from replicate_kit_fsspec import manifest
from replicate_kit_fsspec.options import Taken, check_options, options_of


class Vault(MemoryFileSystem):
    """A store like many: it takes any option, reads its key when it is made, and complains at the first request."""

    protocol = "vault"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    made: ClassVar[list[Any]] = []
    cachable = True

    def __init__(self, username: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.key = os.environ.get("VAULT_KEY")
        self.made.append(self)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.replace("vault://", "memory://")))

    def _ask(self) -> None:
        if self.key != "right":
            raise PermissionError("403: wrong key")

    def _open(self, *args: Any, **options: Any) -> Any:
        self._ask()
        return super()._open(*args, **options)

    def cat_file(self, path: str, *args: Any, **options: Any) -> Any:
        self._ask()
        return super().cat_file(path, *args, **options)

    def info(self, path: str, **options: Any) -> Any:
        self._ask()
        return super().info(path, **options)


@pytest.fixture(autouse=True)
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Vault]]:
    """Have the store registered, empty and with no filesystem kept."""
    monkeypatch.delenv("VAULT_KEY", raising=False)
    fsspec.register_implementation("vault", Vault, clobber=True)
    yield Vault
    Vault.store.clear()
    Vault.pseudo_dirs[:] = [""]
    Vault.made.clear()
    Vault.clear_instance_cache()


@pytest.fixture
def simulator() -> Simulator:
    """A model that draws, and one that looks."""
    simulator = Simulator()

    @simulator.model("acme/draw")
    def draw(prompt: str) -> list[bytes]:
        return [b"\x89PNG\r\n\x1a\n" + prompt.encode()]

    return simulator


@pytest.fixture
def api(simulator: Simulator) -> Iterator[Client]:
    with Client(backend=simulator, poll_interval=0.01) as client:
        yield client


ROWS = [{"prompt": "sea"}, {"prompt": "hill"}]


def refused(
    api: Client, simulator: Simulator, kind: type[ReplicateError], match: str, **options: Any
) -> None:
    """See that run, map and plan refuse a place before they create anything."""
    with pytest.raises(kind, match=match):
        api.plan("acme/draw", ROWS, **options)
    with pytest.raises(kind, match=match):
        list(api.map("acme/draw", ROWS, progress=False, **options))
    with pytest.raises(kind, match=match):
        api.run("acme/draw", ROWS[0], **options)
    assert simulator.created == 0


@pytest.mark.parametrize(
    ("url", "options", "match"),
    [
        ("memory://shelf", {"endpoint": "http://a"}, "memory takes no 'endpoint'.* memory takes: global_store"),
        ("memory://shelf", {"global_stor": True}, "pass global_store instead"),
        ("memory://shelf", {"storage_options": {"global_store": True}}, "pass what is in it without it"),
        ("memory://shelf", {"compression": "gzip"}, "memory takes no 'compression'"),
        ("pictures", {"key": "a"}, "file takes no 'key'"),
        ("file://pictures", {"auto_mkdr": True}, "pass auto_mkdir instead"),
        ("pictures", {"auto_mkdir": "yes"}, "'auto_mkdir' must be True or False, not str"),
        ("ftp://host/folder", {"user": "a"}, "ftp takes no 'user', pass username instead"),
        ("ftp://host/folder", {"password": 5}, "'password' must be a text, not int"),
        ("ftp://host/folder", {"ftp": "secret"}, "'ftp' must be a dict with the options of ftp, not str"),
        ("simplecache::memory://a", {"global_store": True}, r"is for memory: pass \{'memory': \{'global_store': …\}\}"),
        ("simplecache::memory://a", {"memory": {"colour": 1}}, "memory takes no 'colour'"),
        ("simplecache::memory://a", {"cache_storag": "/tmp"}, "pass cache_storage instead"),
    ],
)  # fmt: skip
def test_options_that_a_filesystem_does_not_take_are_told_with_those_that_it_does(
    api: Client, simulator: Simulator, url: str, options: dict[str, Any], match: str
) -> None:
    refused(api, simulator, ConfigError, match, save_to=url, storage_options=options)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("memory://shelf", {"global_store": True, "skip_instance_cache": True}),
        ("memory://shelf", {"memory": {"global_store": True}}),
        (
            "simplecache::memory://a",
            {"memory": {"global_store": True}, "simplecache": {"cache_storage": "TMP"}},
        ),
        ("simplecache::memory://a", {"cache_storage": "TMP"}),
    ],
)
def test_options_that_it_takes_are_taken(api: Client, url: str, options: Any) -> None:
    assert api.run("acme/draw", ROWS[0], save_to=url, storage_options=options)


@pytest.mark.parametrize(
    ("save_to", "match"),
    [
        ("s3:/bucket/x", "Write 's3://bucket/x'"),
        ("s3:bucket/x", "Write 's3://bucket/x'"),
        ("memory:/shelf", "Write 'memory://shelf'"),
        ("simplecache:memory://a", "fsspec knows no protocol 'simplecache:memory'"),
        ("S3://bucket/x", "fsspec knows no protocol 'S3'.*Write 's3://bucket/x'"),
        ("s4://bucket/x", "fsspec knows no protocol 's4'"),
        ("", "is empty"),
        (" ", "is empty"),
        (5, "must be a folder, a URL or a SaveTo, not int"),
        (b"pictures", "must be a folder, a URL or a SaveTo, not bytes"),
    ],
)
def test_places_that_cannot_be_meant_are_told(
    api: Client, simulator: Simulator, save_to: Any, match: str
) -> None:
    refused(api, simulator, ConfigError, match, save_to=save_to)


@pytest.mark.parametrize("options", ["endpoint_url=http://a", ["a"], 5, {5: "a"}])
def test_options_that_are_no_dict_of_names_are_told(api: Client, simulator: Simulator, options: Any) -> None:
    refused(api, simulator, ConfigError, "storage_options", save_to="memory://a", storage_options=options)


def test_no_value_is_shown(api: Client) -> None:
    with pytest.raises(ConfigError) as caught:
        api.plan(
            "acme/draw", ROWS, save_to="ftp://h/a", storage_options={"passwort": "hunter2", "acct": "hunter2"}
        )
    assert "hunter2" not in str(caught.value)


class Lazy(Vault):
    """Hands what it does not know on to a library, at its first request."""

    protocol = "lazy"

    def _ask(self) -> None:
        self.connect(**{key: value for key, value in self.storage_options.items() if key != "username"})

    def connect(self, *, region_name: str = "", client_kwargs: Mapping[str, Any] | None = None) -> None:
        if client_kwargs is not None:
            client_kwargs["port"].upper()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"endpoint": "http://a"},
            "TypeError: .*unexpected keyword argument 'endpoint'.*Given were: 'endpoint'. lazy",
        ),
        ({"usernme": "a"}, "for 'usernme' lazy has username"),
        ({"client_kwargs": {"port": 80}}, r"AttributeError.*Given were: 'client_kwargs'"),
        ({"client_kwargs": {}}, "KeyError: 'port'"),
    ],
)
def test_options_that_fail_at_the_first_request_fail_before_anything_is_created(
    api: Client, simulator: Simulator, options: Any, match: str
) -> None:
    fsspec.register_implementation("lazy", Lazy, clobber=True)
    Lazy.clear_instance_cache()
    refused(api, simulator, ConfigError, match, save_to="lazy://a", storage_options=options)
    assert run_saved(api, "lazy://a", {"region_name": "eu", "username": "a"})


def run_saved(api: Client, url: str, options: Any = None) -> Any:
    return api.run("acme/draw", ROWS[0], save_to=url, storage_options=options or {})


@pytest.mark.parametrize("chain", ["", "simplecache::"])
@pytest.mark.parametrize("options", [{}, {"username": "a"}])
def test_credentials_that_are_set_after_a_failure_are_used_in_the_same_process(
    api: Client, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, chain: str, options: Any
) -> None:
    url, given = f"{chain}vault://shelf", ({"vault": options} if chain else options)
    refused(
        api, simulator, FileError, "may not be written to .*wrong key", save_to=url, storage_options=given
    )
    monkeypatch.setenv("VAULT_KEY", "right")
    assert run_saved(api, url, given)
    assert all(each.error is None for each in api.map("acme/draw", ROWS, save_to=url, storage_options=given))


def test_a_filesystem_that_others_made_with_old_credentials_is_made_anew(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both() -> None:  # on this thread, by which fsspec keeps it
        fsspec.filesystem("vault")
        await check_target("vault://shelf", api.session)

    fsspec.filesystem("vault")
    monkeypatch.setenv("VAULT_KEY", "right")
    run(both())
    assert run_saved(api, "vault://shelf")


def test_a_check_leaves_nothing(
    api: Client, monkeypatch: pytest.MonkeyPatch, memory: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("VAULT_KEY", "right")
    for save_to in ("vault://shelf", "memory://shelf", str(tmp_path), f"file://{tmp_path}/b"):
        run(check_target(SaveTo(save_to, manifest=True, if_exists="error"), api.session))
    assert Vault.store == {}
    assert memory.find("/") == []
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


class ReadOnly(Vault):
    """Lists and reads; what is written fails in one of the ways that stores have."""

    protocol = "readonly"
    error: ClassVar[Exception] = OSError("read-only")

    def _ask(self) -> None:
        return

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "rb":
            raise self.error
        return super()._open(path, mode, **options)


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (OSError(errno.EROFS, "Read-only file system"), "it failed at a trial .*Read-only file system"),
        (
            PermissionError("550 Permission denied"),
            "may not be written to .*550 Permission denied.*right to write",
        ),
        (NotImplementedError("mode not supported"), "it can only be read"),
        (TimeoutError("no answer"), "the store cannot be reached .*no answer"),
        (ConnectionRefusedError("refused"), "the store cannot be reached"),
        (FileNotFoundError("no such share"), "there is no such location"),
        (RuntimeError("500"), "it failed at a trial .*RuntimeError: 500"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_told(
    api: Client, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, error: Exception, match: str
) -> None:
    fsspec.register_implementation("readonly", ReadOnly, clobber=True)
    monkeypatch.setattr(ReadOnly, "error", error)
    refused(api, simulator, FileError, match, save_to="readonly://shelf")
    assert ReadOnly.store == {}


def test_a_place_whose_files_cannot_be_moved_is_told(
    api: Client, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mv(*args: Any, **options: Any) -> None:
        raise PermissionError("no RNTO")

    monkeypatch.setenv("VAULT_KEY", "right")
    monkeypatch.setattr(Vault, "mv", mv)
    refused(api, simulator, FileError, "may not be written to .*no RNTO", save_to="vault://shelf")
    assert Vault.store == {}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EDQUOT, errno.ENOSPC, errno.EACCES])
def test_a_folder_in_which_no_file_can_be_made_is_told(
    api: Client, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    real = os.open

    def fail(path: Any, *args: Any) -> Any:
        if str(path).endswith(".part"):
            raise OSError(number, os.strerror(number))
        return real(path, *args)

    monkeypatch.setattr(os, "open", fail)
    refused(
        api, simulator, FileError, f"may not be written to .*{os.strerror(number)}", save_to=tmp_path / "a"
    )


@pytest.mark.parametrize("url", ["FOLDER", "file://FOLDER", "memory://shelf"])
def test_a_manifest_that_cannot_be_kept_is_told(
    api: Client, simulator: Simulator, tmp_path: Path, memory: Any, url: str
) -> None:
    (tmp_path / manifest.NAME).mkdir()
    memory.mkdir("/shelf/manifest.jsonl")
    save_to = SaveTo(url.replace("FOLDER", str(tmp_path)), manifest=True)
    refused(api, simulator, FileError, "is a folder: there can be no manifest", save_to=save_to)


def test_a_place_that_may_not_be_looked_at_is_told_where_saving_looks(
    api: Client, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def info(*args: Any, **options: Any) -> None:
        raise PermissionError("may only write")

    monkeypatch.setenv("VAULT_KEY", "right")
    monkeypatch.setattr(Vault, "info", info)
    for save_to in (SaveTo("vault://a", if_exists="skip"), SaveTo("vault://a", manifest=True)):
        refused(api, simulator, FileError, "may only write", save_to=save_to)


@pytest.mark.parametrize("url", ["https://example.com/x", "github://a:b@main/c", "zip://a::memory://b.zip"])
def test_protocols_that_only_read_are_refused(api: Client, simulator: Simulator, url: str) -> None:
    refused(api, simulator, ConfigError, "files cannot be saved to", save_to=url)


def test_an_input_is_read_with_credentials_that_are_set_after_a_failure(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vault.store.clear()
    fsspec.filesystem("memory").pipe_file("/in.png", b"content")
    Vault.store["/in.png"] = fsspec.filesystem("memory").store["/in.png"]

    @simulator.model("acme/look")
    def look(image: Path) -> str:
        return image.read_text()

    with Client(backend=simulator) as api:
        for value in ("vault://in.png", fsspec.open("vault://in.png")):
            with pytest.raises(InputError, match=r"cannot be read .*wrong key"):
                api.run("acme/look", {"image": value})
        monkeypatch.setenv("VAULT_KEY", "right")
        for again in ("vault://in.png", fsspec.open("vault://in.png")):
            assert api.run("acme/look", {"image": again}) == "content"


def test_a_manifest_is_read_with_credentials_that_are_set_after_a_failure(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileError, match=r"cannot be read .*wrong key.*credentials"):
        manifest.read("vault://shelf", {})
    monkeypatch.setenv("VAULT_KEY", "right")
    api.run("acme/draw", ROWS[0], save_to=SaveTo("vault://shelf", manifest=True))
    assert len(manifest.read("vault://shelf", {})) == 1


def test_a_store_that_refuses_in_the_middle_is_asked_with_new_credentials(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_KEY", "right")
    run(check_target("vault://shelf", api.session))
    for each in Vault.made:
        each.key = "expired"  # what it was given was good for an hour
    (result, _) = list(api.map("acme/draw", ROWS, save_to="vault://shelf", progress=False))
    assert result.error is None


def s3_like(*, strict: bool) -> type:
    """A class with the signature of s3fs's, in its package or in another."""

    class S3(MemoryFileSystem):
        protocol = "s3"

        def __init__(
            self, anon: bool = False, endpoint_url: Any = None, key: Any = None, secret: Any = None, token: Any = None,
            client_kwargs: Any = None, config_kwargs: Any = None, **kwargs: Any
        ) -> None:  # fmt: skip
            super().__init__(**kwargs)

    S3.__module__ = "s3fs.core" if strict else "elsewhere"
    return S3


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("endpoint", "pass endpoint_url instead"),
        ("aws_access_key_id", "pass key instead"),
        ("AWS_SECRET_ACCESS_KEY", "pass secret instead"),
        ("aws_session_token", "pass token instead"),
        ("region_name", r"pass client_kwargs=\{'region_name': …\} instead"),
        ("region", r"pass client_kwargs=\{'region_name': …\} instead"),
        ("verify", r"pass client_kwargs=\{'verify': …\} instead"),
        ("retries", r"pass config_kwargs=\{'retries': …\} instead"),
        ("aws_acces_key_id", "pass key instead"),
        ("endpoint-url", "pass endpoint_url instead"),
        ("client_kwarg", "pass client_kwargs instead"),
        ("nonsense", "s3 takes no 'nonsense'; |s3 takes no 'nonsense'. s3 takes: anon, client_kwargs"),
    ],
)
def test_names_of_boto_and_command_lines_are_translated(given: str, match: str) -> None:
    taken = options_of("s3://b", {"s3": s3_like(strict=True)}, {given: "x"})
    with pytest.raises(ConfigError, match=match):
        check_options("s3://b", taken)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"client_kwargs": {"region": "eu"}}, "client_kwargs takes no 'region', pass 'region_name' instead"),
        (
            {"client_kwargs": {"endpoint_url": "host:9"}},
            "'endpoint_url' in client_kwargs must begin with http",
        ),
        ({"client_kwargs": "eu"}, "'client_kwargs' must be a dict, not str"),
        ({"config_kwargs": {"retry": 3}}, "config_kwargs takes no 'retry', pass 'retries' instead"),
        ({"endpoint_url": "127.0.0.1:9000"}, "must begin with http:// or https://"),
        ({"endpoint_url": "s3://x"}, "must begin with http:// or https://"),
        ({"key": 5}, "'key' must be a text, not int"),
        ({"anon": "true"}, "'anon' must be True or False, not str"),
    ],
)
def test_values_that_cannot_be_meant_are_told(given: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        check_options("s3://b", options_of("s3://b", {"s3": s3_like(strict=True)}, given))


@pytest.mark.parametrize(
    "given",
    [
        {"key": None, "profile": "me"},
        {"client_kwargs": {"region_name": "eu"}, "config_kwargs": {"brand_new": 1}},
    ],
)
def test_what_may_be_meant_is_left_to_the_filesystem(given: Any) -> None:
    check_options("s3://b", options_of("s3://b", {"s3": s3_like(strict=True)}, given))


def test_a_filesystem_of_somebody_else_may_take_more_than_it_says(caplog: pytest.LogCaptureFixture) -> None:
    kind = s3_like(strict=False)
    check_options("s3://b", [Taken("s3", kind, {"colour": 1, "endpoint": "http://a"})])
    assert "may not know 'endpoint', pass endpoint_url instead" in caplog.text
