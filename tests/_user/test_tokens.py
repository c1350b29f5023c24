"""Tokens that were kept: for one origin each, where nobody else can read them."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keyring
import pytest

from replicate_kit import Client
from replicate_kit._user import file_locks, tokens
from replicate_kit._user.tokens import forget_token, keep_token, kept_token, source_of_token
from replicate_kit.errors import ConfigError, ReplicateError
from replicate_kit.simulator import Simulator, install
from tests._user import keyrings

API, OTHER = "https://api.replicate.com", "http://127.0.0.1:8000"
Use = Callable[[type[keyrings.Open]], None]


@pytest.fixture
def file() -> Path:
    """Where tokens are kept that no keyring has."""
    return Path(os.environ["XDG_CONFIG_HOME"], "replicate-kit", "tokens.json")


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Use]:
    """Make this keyring the system's."""
    before = keyring.get_keyring()
    monkeypatch.setenv("KEYRING_OF_TEST", str(tmp_path / "keyring.json"))
    yield lambda kind: keyring.set_keyring(kind())
    keyring.set_keyring(before)


def test_a_token_is_given_for_its_origin_alone(file: Path) -> None:
    assert (kept_token(API), source_of_token(API), forget_token(API)) == (None, None, None)
    assert keep_token(API, "r8_a") == str(file)
    assert [kept_token(each) for each in (API, OTHER, "http://api.replicate.com")] == ["r8_a", None, None]
    keep_token(OTHER, "r8_b")
    keep_token(API, "r8_c")
    assert [kept_token(each) for each in (API, OTHER)] == ["r8_c", "r8_b"]
    assert forget_token(API) == str(file)
    assert [kept_token(each) for each in (API, OTHER)] == [None, "r8_b"]
    forget_token(OTHER)
    assert list(file.parent.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_nobody_else_can_read_the_file_at_any_time(
    umask: int, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    def look(_: int) -> None:
        modes.extend(stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir())

    monkeypatch.setattr(tokens.os, "fsync", look)
    before = os.umask(umask)
    try:
        keep_token(API, "r8_a")
    finally:
        os.umask(before)
    assert {*modes, stat.S_IMODE(file.stat().st_mode)} == {0o600}


def test_a_file_that_cannot_be_written_leaves_the_one_before(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_token(API, "r8_a")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokens.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keep_token(API, "r8_b")
    assert kept_token(API) == "r8_a"
    assert list(file.parent.iterdir()) == [file]


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir(parents=True)
    file.symlink_to(tmp_path / "elsewhere.json")
    keep_token(API, "r8_a")
    assert file.is_symlink()
    assert kept_token(API) == "r8_a"
    keep_token(OTHER, "r8_b")
    for origin, left in ((API, ["r8_b"]), (OTHER, [])):
        assert forget_token(origin) == str(file)
        held = [each.read_text() for each in tmp_path.glob("else*")]
        assert [token for token in ("r8_a", "r8_b") if token in "".join(held)] == left
    assert (file.is_symlink(), kept_token(API)) == (True, None)
    keep_token(API, "r8_c")
    assert "r8_c" in (tmp_path / "elsewhere.json").read_text()


ORIGINS = [f"https://{number}.example" for number in range(6)]


def in_programs(code: str) -> None:
    """Run code for each origin, `o`, in a program of its own, all at the same time."""
    line = f"import sys; from replicate_kit._user.tokens import *; o = sys.argv[1]; {code}"
    programs = [subprocess.Popen([sys.executable, "-c", line, each]) for each in ORIGINS]
    assert [each.wait(120) for each in programs] == [0] * len(programs)


def in_threads(code: str) -> None:
    """Run code for each origin, `o`, in a thread of its own."""
    with ThreadPoolExecutor(len(ORIGINS)) as threads:
        list(threads.map(lambda each: exec(code, {**vars(tokens), "o": each}), ORIGINS))


@pytest.mark.parametrize("run", [in_programs, in_threads])
def test_what_many_keep_and_forget_at_once_is_kept_and_forgotten(
    run: Callable[[str], None], file: Path
) -> None:
    keep_token(API, "r8_a")
    run("keep_token(o, 'r8_' + o)")
    assert [kept_token(each) for each in ORIGINS] == [f"r8_{each}" for each in ORIGINS]
    run("forget_token(o)")
    assert ([kept_token(each) for each in ORIGINS], kept_token(API)) == ([None] * len(ORIGINS), "r8_a")
    assert list(file.parent.iterdir()) == [file]


def test_who_keeps_the_file_to_themselves_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_token(API, "r8_a")
    monkeypatch.setattr(file_locks, "_PATIENCE", 0)
    lock = file.with_name(".tokens.json.lock")
    with file_locks.locked(lock):
        for act in (lambda: keep_token(API, "r8_b"), lambda: forget_token(API)):
            with pytest.raises(ReplicateError, match=f"Another program holds {lock}"):
                act()
    assert keep_token(API, "r8_b") == str(file)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_that_others_can_read_is_refused(mode: int, file: Path) -> None:
    keep_token(API, "r8_canary")
    file.chmod(mode)
    for act in (lambda: kept_token(API), lambda: keep_token(API, "r8_canary"), lambda: forget_token(API)):
        with pytest.raises(ConfigError, match=rf"chmod 600 '{file}'") as caught:
            act()
        assert "canary" not in str(caught.value)
    file.chmod(0o600)
    assert kept_token(API) == "r8_canary"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {}}', '{"a": {"token": 1}}', "\xff"])
def test_a_file_of_somebody_else_says_what_to_do(text: str, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(text.encode("latin-1"))
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"Remove it\. Run `replicate-kit auth login` again"):
        kept_token(API)


def test_a_keyring_has_it_where_there_is_one(use: Use, file: Path) -> None:
    use(keyrings.Usable)
    assert keep_token(API, "r8_a") == "the keyring Open"
    assert "r8_a" not in file.read_text()
    assert kept_token(API) == "r8_a"
    use(keyrings.Locked)  # it is asked once
    assert kept_token(API) == "r8_a"
    use(keyrings.Usable)
    keep_token(API, "r8_b")
    assert kept_token(API) == "r8_b"
    assert forget_token(API) == "the keyring Open"
    assert (kept_token(API), json.loads(Path(os.environ["KEYRING_OF_TEST"]).read_text())) == (None, {})


@pytest.mark.parametrize("kind", [keyrings.Open, keyrings.Locked, keyrings.Forgetful])
def test_a_keyring_that_keeps_nothing_leaves_it_to_the_file(
    kind: type[keyrings.Open], use: Use, file: Path
) -> None:
    use(kind)
    assert keep_token(API, "r8_a") == str(file)
    assert kept_token(API) == "r8_a"


KINDS = [keyrings.Open, keyrings.Usable, keyrings.Other, keyrings.Forgetful]
KINDS += [keyrings.Locked, keyrings.Sticky, keyrings.Shut]


@pytest.mark.parametrize("fails_at", [0, 1, 2, 3])
@pytest.mark.parametrize("then", KINDS)
@pytest.mark.parametrize("first", [None, keyrings.Open, keyrings.Usable, keyrings.Sticky])
def test_however_keeping_ends_nothing_stays_unnamed(
    first: type[keyrings.Open] | None,
    then: type[keyrings.Open],
    fails_at: int,
    use: Use,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if first is not None:
        use(first)
        keep_token(API, "r8_a")
    use(then)
    with monkeypatch.context() as patch:
        writes = iter(range(1, 9))

        def full(_: int) -> None:
            if next(writes) == fails_at:
                raise OSError(28, "No space left on device")

        patch.setattr(tokens.os, "fsync", full)
        with contextlib.suppress(OSError):
            keep_token(API, "r8_b")
            assert kept_token(API) == "r8_b"
    secrets = Path(os.environ["KEYRING_OF_TEST"])
    if secrets.exists() and "r8_" in secrets.read_text():
        assert "keyring" in json.loads(file.read_text())[API]
    if then in (keyrings.Sticky, keyrings.Shut, keyrings.Other) and file.exists():
        with contextlib.suppress(ReplicateError):
            forget_token(API)
        assert not file.exists() or "r8_" not in file.read_text()
    use(keyrings.Other if (source_of_token(API) or "").endswith("Other") else keyrings.Usable)
    forget_token(API)
    assert not file.exists()
    assert not secrets.exists() or secrets.read_text() == "{}"


@pytest.mark.parametrize("kind", [keyrings.Sticky, keyrings.Shut])
def test_forgetting_takes_what_it_can_and_says_what_stays(
    kind: type[keyrings.Open], use: Use, file: Path
) -> None:
    use(keyrings.Usable)
    keep_token(API, "r8_a")
    use(kind)
    assert keep_token(API, "r8_b") == str(file)
    for _ in range(2):
        with pytest.raises(ReplicateError, match="is still in the keyring Open: nobody unlocked it"):
            forget_token(API)
        assert (source_of_token(API), "r8_" in file.read_text()) == ("the keyring Open", False)
    use(keyrings.Usable)
    assert forget_token(API) == "the keyring Open"


def test_a_keyring_that_another_one_replaced_stays_named(use: Use, file: Path) -> None:
    use(keyrings.Usable)
    keep_token(API, "r8_a")
    use(keyrings.Other)
    assert keep_token(API, "r8_b") == str(file)
    with pytest.raises(
        ReplicateError, match="still in the keyring Open: the keyring that is used now is Other"
    ):
        forget_token(API)
    use(keyrings.Usable)
    assert forget_token(API) == "the keyring Open"


@pytest.mark.parametrize(
    ("kind", "why"), [(keyrings.Locked, "nobody unlocked it"), (keyrings.Forgetful, "it has none")]
)
def test_a_keyring_that_does_not_give_it_back_says_why(kind: type[keyrings.Open], why: str, use: Use) -> None:
    use(keyrings.Usable)
    keep_token(API, "r8_a")
    use(kind)
    with pytest.raises(ConfigError, match=rf"{why}.*auth login` again"):
        kept_token(API)


def test_a_program_without_the_library_says_what_to_install(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(keyrings.Usable)
    keep_token(API, "r8_a")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError, match=r'pip install "replicate-kit\[keyring\]"'):
        kept_token(API)
    with pytest.raises(ReplicateError, match="still in the keyring Open"):
        forget_token(API)
    assert source_of_token(API) == "the keyring Open"


def test_the_library_is_loaded_only_for_a_token_that_it_has(use: Use) -> None:
    code = (
        "import sys; from replicate_kit import Client; client = Client(backend='http'); "
        "print(client.config.api_token, 'keyring' in sys.modules)"
    )
    run = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHON_KEYRING_BACKEND": "tests._user.keyrings.Usable"}

    def printed(**more: str) -> str:
        environ = {**environment, **more, "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.run(run, env=environ, capture_output=True, text=True, check=True).stdout.strip()

    assert printed() == "None False"
    use(keyrings.Usable)
    keep_token(API, "r8_a")
    assert printed() == "r8_a True"
    assert printed(REPLICATE_API_TOKEN="r8_b") == "r8_b False"


def test_the_order_is_argument_environment_and_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_token(API, "r8_kept")
    assert Client(backend="http").config.api_token == "r8_kept"
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_environment")
    assert Client(backend="http").config.api_token == "r8_environment"
    assert Client("r8_argument", backend="http").config.api_token == "r8_argument"


@pytest.mark.parametrize("base_url", ["https://gateway.example/v1", "http://api.replicate.com", OTHER])
def test_no_other_service_gets_it(base_url: str, each_library: str) -> None:
    keep_token(API, "r8_kept")
    assert Client(base_url=base_url).config.api_token is None
    assert Client().config.api_token == "r8_kept"


def test_it_is_sent_where_it_belongs(connect: Callable[..., tuple[Client, list[object]]]) -> None:
    keep_token("https://api.test", "r8_kept")
    client, requests = connect({"username": "me"}, api_token=None)
    client.accounts.current()
    assert requests[0].headers["authorization"] == "Bearer r8_kept"  # type: ignore[attr-defined]


def test_the_mock_does_not_look_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(origin: str) -> None:
        raise AssertionError(origin)

    monkeypatch.setattr("replicate_kit.config.kept_token", looked)
    for backend in ("mock", install(Simulator())):
        assert Client(backend=backend).run("demo/poet", {"prompt": "sea"})
