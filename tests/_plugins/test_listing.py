"""What `replicate-kit plugins` lists: all that installed packages add, and each thing that fails."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest

from replicate_kit import Client
from replicate_kit._plugins.listing import Listed, listed
from replicate_kit.errors import ReplicateError

Install = Callable[..., None]

HOOK = "@hookimpl\ndef replicate_{}\n    return {}"
BOARDS = HOOK.format("resources():", '{"boards": Resource}')
LATE = """
from collections import UserDict
class Late(UserDict):
    def __getitem__(self, name):
        raise KeyError("late")
@hookimpl
def replicate_{}():
    return Late(late=1)
"""
COMMAND = """
@hookimpl
def replicate_commands(cli):
    cli.command({!r})(print)
"""
STORES = """
@hookimpl
def replicate_store_output(target):
    return put() if target.folder.startswith({!r}) else None
async def put():
    raise AssertionError("nothing is stored")
"""


def found() -> dict[tuple[str, str], Listed]:
    """What is listed, by kind and name."""
    all_of_it = listed(lambda plugins: plugins.add_commands(click.Group(), ("run", "map")), ("run", "config"))
    return {(each.kind, each.name): each for each in all_of_it}


@pytest.mark.parametrize(
    ("source", "adds"),
    [
        pytest.param(BOARDS, {"resources": ["boards"]}, id="resources"),
        pytest.param(HOOK.format("backends():", '{"loom": Resource}'), {"backends": ["loom"]}, id="backends"),
        pytest.param(HOOK.format("transport_layer():", "Resource"), {"layers": ["Resource"]}, id="layers"),
        pytest.param(HOOK.format("transport_layer(config):", "None"), {}, id="no layer"),
        pytest.param(COMMAND.format("hello"), {"commands": ["hello"]}, id="commands"),
        pytest.param(STORES.format("s3"), {"stores": ["s3:", "s3a:"]}, id="some stores"),
        pytest.param(STORES.format("shelf:"), {"stores": ["shelf:"]}, id="stores of its name"),
        pytest.param(STORES.format(""), {"stores": ["local folders", "any URL"]}, id="all stores"),
        pytest.param(HOOK.format("encode_input(value):", "None"), {}, id="what has no name"),
    ],
)
def test_what_a_plugin_adds_is_listed(install: Install, source: str, adds: dict[str, list[str]]) -> None:
    install("shelf", source)
    each = found()["plugin", "shelf"]
    assert (each.status, each.distribution, each.reason) == ("loaded", "dist-shelf 1.5", None)
    assert {noun: names for noun, names in each.adds.items() if names} == adds
    assert len(each.hooks) == 1


FAILING = {
    "import": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "resources": (HOOK.format("resources():", "1 / 0"), "replicate_resources: ZeroDivisionError"),
    "resources that are none": (
        HOOK.format("resources():", "[]"),
        "replicate_resources: TypeError: it gave a",
    ),
    "resources that do not load": (LATE.format("resources"), "replicate_resources: KeyError: 'late'"),
    "resources that are no classes": (
        HOOK.format("resources():", '{"shelves": 3}'),
        "replicate_resources: TypeError: it gave a int as 'shelves', and this hook gives classes",
    ),
    "backends that are no classes": (
        HOOK.format("backends():", '{"loom": "LoomBackend"}'),
        "replicate_backends: TypeError: it gave a str as 'loom', and this hook gives classes",
    ),
    "backends": (HOOK.format("backends():", "1 / 0"), "replicate_backends: ZeroDivisionError"),
    "backends that do not load": (LATE.format("backends"), "replicate_backends: KeyError: 'late'"),
    "layer": (HOOK.format("transport_layer():", "1 / 0"), "replicate_transport_layer: ZeroDivisionError"),
    "layer that is none": (HOOK.format("transport_layer():", "1"), "replicate_transport_layer: TypeError"),
    "commands": (HOOK.format("commands(cli):", "1 / 0"), "replicate_commands: ZeroDivisionError"),
    "store": (HOOK.format("store_output(target):", "1 / 0"), "replicate_store_output: ZeroDivisionError"),
    "resource of ours": (
        HOOK.format("resources():", '{"models": 1}'),
        "named 'models', which replicate-kit has itself",
    ),
    "a client's own name": (
        HOOK.format("resources():", '{"run": 1}'),
        "'run', which replicate-kit has itself",
    ),
    "backend of ours": (
        HOOK.format("backends():", '{"mock": 1}'),
        "named 'mock', which replicate-kit has itself",
    ),
    "command of ours": (COMMAND.format("run"), "named 'run', which replicate-kit has itself"),
}


@pytest.mark.parametrize("what", FAILING)
def test_what_fails_is_listed_with_its_reason_and_hides_nothing(install: Install, what: str) -> None:
    source, reason = FAILING[what]
    install("bad", source)
    install("boards", BOARDS)
    all_of_it = found()
    each = all_of_it["plugin", "bad"]
    assert (each.status, each.distribution) == ("failed", "dist-bad 1.5")
    assert reason in str(each.reason)
    assert len(each.errors) == 1
    assert all_of_it["plugin", "boards"].status == "loaded"
    assert all_of_it["plugin", "builtin"].status == "loaded"


@pytest.mark.parametrize("noun", ["resources", "backends"])
def test_plugins_that_use_one_name_have_both_failed(install: Install, noun: str) -> None:
    source = HOOK.format(f"{noun}():", '{"boards": Resource}')
    install("one", source)
    install("two", source)
    for each in (found()["plugin", name] for name in ("one", "two")):
        assert each.status == "failed"
        assert "'one' of dist-one 1.5 and 'two' of dist-two 1.5 both add a" in str(each.reason)
    with pytest.raises(ReplicateError, match="both add a"):
        Client(backend="mock")


@pytest.mark.parametrize("variable", ["REPLICATE_KIT_STRICT_PLUGINS", "REPLICATE_BASE_URL"])
def test_it_lists_where_no_client_can_be_made(
    install: Install, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    install("bad", "import no_such_module")
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ReplicateError):
        Client(backend="mock")
    assert found()["plugin", "bad"].status == "failed"


def test_what_was_left_out_is_listed_and_not_loaded(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("bad", "raise AssertionError('was imported')")
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "bad")
    assert found()["plugin", "bad"].status == "disabled"


ACCESSORS = {
    "pandas": ("", "loaded", None),
    "polars": ("raise ImportError('no polars here')", "failed", "ImportError: no polars here"),
    "panda": ("", "failed", "none is 'panda'. Did you mean 'pandas'?"),
}


@pytest.mark.parametrize("name", ACCESSORS)
def test_accessors_are_listed(install: Install, name: str) -> None:
    source, status, reason = ACCESSORS[name]
    install(name, source, "dist-frames", group="replicate_kit.accessors")
    (each,) = (each for each in _all() if each.distribution == "dist-frames 1.5")
    assert (each.kind, each.status, each.adds) == ("accessor", status, {"accessors": [name]})
    assert (reason or "") in str(each.reason)


def test_an_accessor_of_a_library_that_is_not_installed_has_not_failed(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("polars", "raise AssertionError('was imported')", "dist-frames", group="replicate_kit.accessors")
    monkeypatch.setattr("replicate_kit._plugins.listing.find_spec", lambda name: None)
    each = found()["accessor", "polars"]
    assert (each.status, each.reason) == ("unused", "polars is not installed.")


LEDGERS = {
    "shelf": ("", "failed", "is a module, which has no ledger() and administrator()"),
    "broken": ("raise ImportError('no driver here')", "failed", "ImportError: no driver here"),
    "postgresql": ("", "failed", "are claimed by"),
    "sqlite": ("", "failed", "No URL of a journal begins with sqlite://."),
}


@pytest.mark.parametrize("name", LEDGERS)
def test_stores_of_journals_are_listed(install: Install, name: str) -> None:
    source, status, reason = LEDGERS[name]
    install(name, source, "dist-books", group="replicate_kit.ledgers")
    (each,) = (each for each in _all() if each.distribution == "dist-books 1.5")
    assert (each.kind, each.status, each.adds) == ("ledger", status, {"ledgers": [f"{name}:"]})
    assert reason in str(each.reason)
    assert found()["ledger", "memory"].status == "loaded"


def _all() -> list[Listed]:
    return listed(lambda plugins: {})
