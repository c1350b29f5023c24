"""Misspelt hooks and arguments are told with what was meant; functions that look like hooks and are none are, too."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import pytest

from replicate_kit import Client, hookimpl, hooks
from replicate_kit._plugins import registry
from replicate_kit.errors import PluginError

HOOKS = {name: hook for name, hook in vars(hooks).items() if name.startswith("replicate_")}
ARGUMENTS = [(name, each) for name, hook in HOOKS.items() for each in inspect.signature(hook).parameters]


def plugin(hook: str, arguments: str = "", marked: bool = True, **options: Any) -> Any:
    """A plugin with one function, and with a hook that is well."""
    space: dict[str, Any] = {}
    exec(f"def {hook}({arguments}): return None", space)
    function = hookimpl(space[hook], **options) if marked else space[hook]
    well = hookimpl(lambda ref: None, specname="replicate_parse_reference")
    return type("Spelling", (), {hook: staticmethod(function), "well": staticmethod(well)})()


def registered(given: Any) -> Any:
    registry._TOLD.clear()
    return Client(backend="mock", plugins=[given]).plugins


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    "spelt", [lambda name: name[:-2] + name[-1], lambda name: name + "s"], ids=["less", "more"]
)
def test_a_misspelt_hook_is_an_error_that_says_which_was_meant(hook: str, spelt: Any) -> None:
    name = spelt(hook)
    said = f"there is no hook '{name}'. Did you mean 'replicate_[a-z_]+'\\? docs/hooks.md"
    with pytest.raises(PluginError, match=said) as caught:
        registered(plugin(name))
    assert f"{hook!r}?" in str(caught.value)


@pytest.mark.parametrize(("hook", "argument"), ARGUMENTS)
def test_a_misspelt_argument_is_an_error_that_says_which_was_meant(hook: str, argument: str) -> None:
    with pytest.raises(PluginError) as caught:
        registered(plugin(hook, f"{argument}s"))
    assert f"{hook} has no argument '{argument}s'. Did you mean {argument!r}? It takes: " in str(caught.value)


@pytest.mark.parametrize("hook", HOOKS)
def test_an_argument_of_no_hook_is_an_error_that_says_what_there_is(hook: str) -> None:
    arguments = ", ".join(inspect.signature(HOOKS[hook]).parameters)
    with pytest.raises(PluginError) as caught:
        registered(plugin(hook, "zzz"))
    assert f"{hook} has no argument 'zzz'." in str(caught.value)
    assert (f"It takes: {arguments}." if arguments else "It takes none.") in str(caught.value)


@pytest.mark.parametrize("hook", HOOKS)
def test_an_unmarked_hook_is_told(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    registered(plugin(hook, marked=False))
    assert f"{hook} is never called. Mark it with replicate_kit.hookimpl" in caplog.text


@pytest.mark.parametrize("hook", HOOKS)
def test_an_unmarked_and_misspelt_hook_is_told(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    registered(plugin(f"{hook}s", marked=False))
    assert f"{hook}s is no hook, and is never called. Did you mean {hook!r}?" in caplog.text


@pytest.mark.parametrize(("hook", "argument"), ARGUMENTS)
def test_an_argument_that_is_never_given_is_told(
    hook: str, argument: str, caplog: pytest.LogCaptureFixture
) -> None:
    registered(plugin(hook, f"{argument}=None"))
    assert f"{hook} is never given {argument!r}, as that has a default." in caplog.text


@pytest.mark.parametrize(
    "given",
    [
        plugin("replicate_parse_reference", "ref"),
        plugin("replicate_parse_reference", "ref, mine=1"),
        plugin("replicate_of_a_later_version", "zzz", optionalhook=True),
        plugin("mine", "ref", specname="replicate_parse_reference"),
        plugin("mine", "ref", marked=False),
        plugin("replicate_kangaroo", marked=False),
    ],
    ids=["well", "a default of its own", "optional", "another name", "a helper", "a helper with the prefix"],
)
def test_what_is_well_is_told_nothing_of(given: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert registered(given).failures == []
    assert caplog.records == []


def test_a_class_is_not_taken_for_an_object_of_it() -> None:
    class Plugin:
        @hookimpl
        def replicate_parse_reference(self, ref: str) -> None:
            return None

    with pytest.raises(
        PluginError, match=r"Plugin is a class, and its hooks need an object\. Pass or announce Plugin\(\)"
    ):
        registered(Plugin)
