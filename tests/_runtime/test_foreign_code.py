"""What a plugin raises in a hook names the plugin and the hook, whoever asked."""

from __future__ import annotations

import asyncio
import logging
import pickle
import re
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client, hookimpl, hooks
from replicate_kit._runtime.foreign_code import WATCHING, HookOf
from replicate_kit.backends.mock import MockBackend
from replicate_kit.batch import journals
from replicate_kit.batch._runs.terminating import Terminated
from replicate_kit.errors import BatchError, ConfigError, FileError, InputError, PluginError, ReplicateError
from replicate_kit.simulator import Simulator
from replicate_kit.storage import SaveTo
from replicate_kit.testing.suites import Drive

SMALL = {"prompt": "sea", "width": 16, "height": 16}


class Odd(Exception):
    """An error of somebody else's."""


ODD = [
    KeyError("boom"),
    ValueError("boom"),
    Odd("boom"),
    RecursionError("boom"),
    MemoryError("boom"),
    StopIteration("boom"),
]


def raising(hook: str, error: BaseException, *, later: bool = False) -> Any:
    """A plugin that raises in one hook: at once, or in the coroutine that it gives."""

    async def awaited() -> Any:
        raise error

    def function(self: Any, *args: Any) -> Any:
        if later:
            return awaited()
        raise error

    arguments = {
        "replicate_parse_reference": "ref",
        "replicate_encode_input": "value, session",
        "replicate_decode_output": "value, prediction, session",
        "replicate_check_target": "target, session",
        "replicate_store_output": "file, target, session",
        "replicate_record_files": "files, target, session",
        "replicate_prediction_created": "prediction",
        "replicate_prediction_changed": "prediction, previous",
        "replicate_prediction_charged": "cost",
        "replicate_file_saved": "file",
        "replicate_transport_layer": "config",
    }[hook]
    space: dict[str, Any] = {"function": function}
    exec(f"def {hook}(self, {arguments}): return function(self)", space)
    return type("Broken", (), {hook: hookimpl(space[hook])})()


def used(simulator: Simulator, plugin: Any) -> Callable[[], Any]:
    """Take all ways that lead through hooks."""
    client = Client(backend=simulator, plugins=[plugin], poll_interval=0.01)
    return lambda: client.async_run(
        "demo/painter",
        SMALL | {"prompt": Strange("sea")},
        save_to=SaveTo("memory://shelf", manifest=True),
        check_input=False,
    )


class Strange(str):
    """A value that goes to the plugins, and that the package itself encodes."""


HOOKS = [
    ("replicate_parse_reference", False),
    ("replicate_encode_input", False),
    ("replicate_encode_input", True),
    ("replicate_decode_output", False),
    ("replicate_check_target", False),
    ("replicate_check_target", True),
    ("replicate_store_output", False),
    ("replicate_store_output", True),
    ("replicate_record_files", False),
    ("replicate_record_files", True),
]


@pytest.mark.parametrize(
    ("hook", "later", "error"),
    # A StopIteration in a coroutine is a RuntimeError to Python itself.
    [(*each, error) for each in HOOKS for error in ODD if not (each[1] and isinstance(error, StopIteration))],
)
def test_what_a_hook_raises_names_the_plugin_and_the_hook(
    simulator: Simulator, drive: Drive, hook: str, later: bool, error: Exception
) -> None:
    with pytest.raises(PluginError) as caught:
        drive(used(simulator, raising(hook, error, later=later))())
    assert "The plugin 'Broken-" in str(caught.value)
    assert f"failed in {hook}: {type(error).__name__}: " in str(caught.value)
    assert caught.value.__cause__ is error
    assert caught.value.hook == hook
    assert (caught.value.plugin or "").startswith("Broken-")
    paid = hook in ("replicate_decode_output", "replicate_record_files") or (
        hook == "replicate_store_output" and later
    )
    assert (caught.value.prediction is not None) == paid
    assert simulator.created == paid


@pytest.mark.parametrize(("hook", "later"), HOOKS)
def test_an_error_of_ours_passes_with_a_note(
    simulator: Simulator, drive: Drive, hook: str, later: bool
) -> None:
    error = InputError("no such colour")
    with pytest.raises(InputError, match="no such colour") as caught:
        drive(used(simulator, raising(hook, error, later=later))())
    (note,) = [each for each in caught.value.__notes__ if each.startswith("Raised by the plugin")]
    assert "'Broken-" in note
    assert f"in {hook}." in note


@pytest.mark.parametrize(("hook", "later"), HOOKS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, Terminated])
def test_what_stops_the_program_or_a_task_passes(
    simulator: Simulator, hook: str, later: bool, error: type[BaseException]
) -> None:
    from replicate_kit._runtime.blocking import run

    with pytest.raises(error):
        run(used(simulator, raising(hook, error(), later=later))())


@pytest.mark.parametrize(("hook", "later"), HOOKS)
@pytest.mark.parametrize("status", [None, 0, 1, "enough"])
def test_a_plugin_cannot_end_the_program(
    simulator: Simulator, hook: str, later: bool, status: object
) -> None:
    from replicate_kit._runtime.blocking import run

    with pytest.raises(PluginError, match=f"SystemExit: {status}") as caught:
        run(used(simulator, raising(hook, SystemExit(status), later=later))())
    assert isinstance(caught.value.__cause__, SystemExit)


class Handler:
    def __call__(self, *_: object) -> None:
        raise SystemExit(143)

    def method(self, *_: object) -> None:
        self()


@pytest.mark.parametrize(
    "handler", [Handler(), Handler().method, lambda *_: Handler()()], ids=["object", "method", "function"]
)
def test_but_a_signal_can_while_a_plugin_works(handler: Any) -> None:
    before = signal.signal(signal.SIGTERM, handler)
    guarded = HookOf("replicate_decode_output", "slow").guard(lambda: signal.raise_signal(signal.SIGTERM))
    try:
        with pytest.raises(SystemExit) as caught:
            guarded()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 143


def test_a_plugin_on_another_thread_cannot_end_the_program() -> None:
    caught: list[BaseException] = []

    def work() -> None:
        try:
            HookOf("replicate_decode_output", "odd").failed(SystemExit(3))
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(caught[0], PluginError)
    assert "SystemExit: 3" in str(caught[0])


class Stop(BaseException):
    """What a scheduler raises from its handler of a signal."""


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, SystemExit, Stop])
@pytest.mark.parametrize("way", ["run", "create", "stream", "map"])
def test_what_only_watches_stops_nothing(
    simulator: Simulator, error: type[BaseException], way: str, tmp_path: Path
) -> None:
    plugins = [raising(hook, error()) for hook in sorted(WATCHING)]
    client = Client(backend=simulator, poll_interval=0.01, plugins=plugins)
    works = {"prompt": "sea", "failure_rate": 0}
    if way == "run":
        assert asyncio.run(client.async_run("demo/flaky", works))
    elif way == "create":
        prediction = client.predictions.create("demo/flaky", works)
        prediction.wait()
        assert prediction.output
    elif way == "stream":
        assert list(client.stream("demo/flaky", works))
    else:
        (result,) = client.map("demo/painter", [SMALL], price=1, save_to=str(tmp_path), progress=False)
        assert result.status == "succeeded"
        assert result.files


@pytest.mark.parametrize("hook", sorted(WATCHING))
def test_what_a_handler_of_signals_raises_passes_what_only_watches(hook: str) -> None:
    def handler(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(Stop):
            HookOf(hook, "slow").guard(lambda: signal.raise_signal(signal.SIGTERM))()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_task_that_a_watcher_has_cancelled_is_cancelled(simulator: Simulator) -> None:
    class Plugin:
        @hookimpl
        def replicate_prediction_created(self) -> None:
            task = asyncio.current_task()
            assert task
            task.cancel()

    client = Client(backend=simulator, plugins=[Plugin()])
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(client.async_run("demo/slow", {"prompt": "sea", "seconds": 0.1}))


@pytest.mark.parametrize(
    ("hook", "later"), [each for each in HOOKS if "store" in each[0] or "record" in each[0]]
)
def test_an_operating_systems_error_while_storing_is_an_error_of_files(
    simulator: Simulator, drive: Drive, hook: str, later: bool
) -> None:
    with pytest.raises(FileError, match=f"'Broken-.*{hook}: PermissionError: boom"):
        drive(used(simulator, raising(hook, PermissionError("boom"), later=later))())


@pytest.mark.parametrize("later", [False, True])
def test_what_stands_against_a_target_passes_with_a_note(
    simulator: Simulator, drive: Drive, later: bool
) -> None:
    with pytest.raises(PermissionError, match="boom") as caught:
        drive(used(simulator, raising("replicate_check_target", PermissionError("boom"), later=later))())
    assert "'Broken-" in caught.value.__notes__[0]


def test_a_layer_that_cannot_be_made_names_its_plugin(simulator: Simulator) -> None:
    with pytest.raises(PluginError, match=r"'Broken-.*replicate_transport_layer: KeyError: 'boom'"):
        Client(backend=simulator, plugins=[raising("replicate_transport_layer", KeyError("boom"))])


class Layered:
    """A plugin whose layer raises an error before it passes a create on, or after that."""

    def __init__(self, error: BaseException | None, when: str = "before") -> None:
        self.error, self.when = error, when

    @hookimpl
    def replicate_transport_layer(self, config: Any) -> Any:
        return partial(RaisingLayer, self)


class RaisingLayer:
    def __init__(self, plugin: Layered, inner: Any) -> None:
        self.plugin, self.inner = plugin, inner

    async def send(self, request: Any, /, *, stream: bool = False) -> Any:
        error = self.plugin.error if request.method == "POST" else None
        if error is not None and self.plugin.when == "before":
            raise error
        response = await self.inner.send(request, stream=stream)
        if error is not None and self.plugin.when == "after":
            raise error
        return None if request.method == "POST" and self.plugin.when == "nothing" else response

    async def aclose(self) -> None:
        await self.inner.aclose()


def created(simulator: Simulator, *plugins: object) -> Callable[[], Any]:
    client = Client(backend=simulator, plugins=plugins)
    return partial(client.predictions.async_create, model="demo/poet", input={"prompt": "sea"})


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("kind", [KeyError, OSError, TimeoutError, InputError])
def test_what_a_layer_raises_stays_itself_and_names_the_plugin(
    simulator: Simulator, drive: Drive, kind: type[Exception], when: str, count: int
) -> None:
    error = kind("boom")
    others = [Layered(None), Layered(error, when), Layered(None)]
    with pytest.raises(kind, match="boom") as caught:
        drive(created(simulator, *others)())
    assert caught.value is error
    [note] = error.__notes__
    assert f"'Layered-{id(others[1]):x}' in replicate_transport_layer" in note
    assert ("after the request was sent: it may have been acted on" in note) is (when == "after")
    assert simulator.created == count  # nothing is sent again


def test_a_layer_that_gives_no_answer_is_named(simulator: Simulator, drive: Drive) -> None:
    inner, outer = Layered(None, "nothing"), Layered(None)
    with pytest.raises(TypeError, match=r"gave None\. Return the response") as caught:
        drive(created(simulator, inner, outer)())
    assert f"{id(inner):x}" in caught.value.__notes__[0]


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_what_stops_a_program_or_a_task_passes_a_layer_as_it_is(
    simulator: Simulator, error: type[BaseException]
) -> None:
    with pytest.raises(error) as caught:
        Client(backend=simulator, plugins=[Layered(error())]).predictions.create(model="demo/poet", input={})
    assert not hasattr(caught.value, "__notes__")


def test_what_the_backend_raises_is_not_a_layers(simulator: Simulator, drive: Drive) -> None:
    class Broken(MockBackend):
        def connect(self, config: Any, /, *, blocking: bool) -> Any:
            return RaisingLayer(Layered(KeyError("boom")), super().connect(config, blocking=blocking))

    client = Client(backend=Broken(simulator), plugins=[Layered(None), Layered(None)])
    with pytest.raises(KeyError) as caught:
        drive(client.predictions.async_create(model="demo/poet", input={"prompt": "sea"}))
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_a_layer_ends_names_the_plugin(simulator: Simulator, when: str) -> None:
    client = Client(backend=simulator, plugins=[Layered(KeyError("boom"), when)])
    with pytest.raises(BatchError, match="boom") as caught:
        list(client.map("demo/poet", [{"prompt": "sea"}], journal="memory://layered"))
    assert "in replicate_transport_layer" in caught.value.__notes__[0]
    assert isinstance(caught.value.__cause__, KeyError)
    journals.remove("memory://layered")


def test_an_installed_plugin_is_named_with_its_distribution() -> None:
    with pytest.raises(PluginError) as caught:
        HookOf("replicate_decode_output", "boards", "dist-boards 1.5").failed(KeyError("boom"))
    assert str(caught.value) == (
        "The plugin 'boards' of dist-boards 1.5 failed in replicate_decode_output: KeyError: 'boom'\n"
        "Update it, or set REPLICATE_KIT_DISABLE_PLUGINS=boards to do without it."
    )
    revived = pickle.loads(pickle.dumps(caught.value))
    assert (revived.plugin, revived.hook) == ("boards", "replicate_decode_output")


def test_where_in_the_input_a_plugin_failed_is_said(simulator: Simulator, drive: Drive) -> None:
    with pytest.raises(PluginError, match=r"input\.prompt: The plugin 'Broken-"):
        drive(used(simulator, raising("replicate_encode_input", KeyError("boom")))())


def test_every_listener_is_told_though_one_fails(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    class Listener:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl
        def replicate_prediction_changed(self, prediction: Any) -> None:
            told.append(self.name)

    broken = raising("replicate_prediction_changed", Odd("boom"))
    client = Client(backend=simulator, plugins=[Listener("first"), broken, Listener("last")])
    prediction = client.predictions.create("demo/poet", {"prompt": "sea"})
    assert sorted(told) == ["first", "last"]
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "The plugin 'Broken-" in record.getMessage()
    assert "failed in replicate_prediction_changed: Odd: boom" in record.getMessage()
    assert f"the prediction {prediction.id} is not affected" in record.getMessage()


@pytest.mark.parametrize("old", [False, True])
def test_a_wrapper_of_other_hooks_is_named_for_its_own_errors_only(simulator: Simulator, old: bool) -> None:
    class Wrapping:
        failing = False

        @hookimpl(hookwrapper=old, wrapper=not old)
        def replicate_decode_output(self, value: Any) -> Iterator[Any]:
            found = yield
            if self.failing:
                raise Odd("boom")
            return found

    wrapping = Wrapping()
    client = Client(backend=simulator, plugins=[wrapping])
    assert str(client.run("demo/poet", {"prompt": "sea"}))
    inner = Client(backend=simulator, plugins=[raising("replicate_decode_output", Odd("within")), wrapping])
    with pytest.raises(PluginError, match=r"'Broken-.*Odd: within"):
        str(inner.run("demo/poet", {"prompt": "sea"}))
    if not old:  # pluggy warns of the others
        wrapping.failing = True
        with pytest.raises(PluginError, match=r"'Wrapping-.*Odd: boom"):
            str(client.run("demo/poet", {"prompt": "sea"}))


def test_the_output_of_a_prediction_that_cannot_be_decoded_carries_it(simulator: Simulator) -> None:
    client = Client(backend=simulator, plugins=[raising("replicate_decode_output", Odd("boom"))])
    prediction = client.predictions.create("demo/poet", {"prompt": "sea"}, wait=True)
    for take in (lambda: prediction.output, lambda: list(prediction.output_iterator())):
        with pytest.raises(PluginError) as caught:
            take()
        assert caught.value.prediction is prediction


def test_a_coroutine_that_is_not_used_is_closed(simulator: Simulator, tmp_path: Path, drive: Drive) -> None:
    class Store:
        @hookimpl
        def replicate_store_output(self, file: Any, target: Any) -> Any:
            return self.put()

        async def put(self) -> str:
            return "shelf:here"

    client = Client(backend=simulator, plugins=[Store()])  # it is asked with an empty file first
    output = drive(client.async_run("demo/painter", SMALL, save_to="shelf:"))
    assert output == ["shelf:here"]


def test_awaitables_that_are_no_coroutines_are_taken_and_named(simulator: Simulator) -> None:
    class Later:
        def __await__(self) -> Any:
            raise Odd("boom")
            yield

    class Plugin:
        @hookimpl
        def replicate_encode_input(self, value: Any) -> Any:
            return Later()

    client = Client(backend=simulator, plugins=[Plugin()])
    with pytest.raises(PluginError, match=r"'Plugin-.*Odd: boom"):
        client.run("demo/painter", SMALL | {"prompt": Strange("sea")}, check_input=False)


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("not even that")


@pytest.mark.parametrize(("hook", "later"), HOOKS)
def test_an_error_that_cannot_be_shown_is_named_all_the_same(
    simulator: Simulator, hook: str, later: bool
) -> None:
    from replicate_kit._runtime.blocking import run

    with pytest.raises(PluginError, match=f"failed in {hook}: Mute \\(what it says cannot be shown"):
        run(used(simulator, raising(hook, Mute(), later=later))())


@pytest.mark.parametrize(
    ("hook", "given"),
    [
        *(
            (hook, "text")
            for hook in ("replicate_check_target", "replicate_store_output", "replicate_record_files")
        ),
        *((hook, "coroutine") for hook in ("replicate_parse_reference", "replicate_decode_output")),
    ],
)
def test_a_hook_that_gives_a_coroutine_where_it_must_not_or_none_where_it_must_is_named(
    simulator: Simulator, hook: str, given: str
) -> None:
    from replicate_kit._runtime.blocking import run

    async def later() -> str:
        return "text"

    function = hookimpl(lambda: later() if given == "coroutine" else "text")
    plugin = type("Broken", (), {hook: staticmethod(function)})()
    with pytest.raises(PluginError, match=rf"'Broken-.*{hook}: TypeError: it gave a"):
        run(used(simulator, plugin)())


class Wrong:
    """Gives what its hooks do not give."""

    @hookimpl
    def replicate_parse_reference(self) -> Any:
        return "text"

    @hookimpl
    def replicate_open_folder(self) -> Any:
        return "text"


class Around:
    """Does so around the hooks of others."""

    @hookimpl(wrapper=True)
    def replicate_parse_reference(self) -> Any:
        yield
        return "text"

    @hookimpl(wrapper=True)
    def replicate_open_folder(self) -> Any:
        yield
        return "text"


@pytest.mark.parametrize("plugin", [Wrong(), Around()], ids=["hook", "wrapper"])
@pytest.mark.parametrize(
    ("hook", "kind", "use"),
    [
        ("replicate_parse_reference", "Reference", lambda client: client.run("demo/poet", {"prompt": "sea"})),
        (
            "replicate_open_folder",
            "Location",
            lambda client: client.plugins.hooks.open_folder("pictures", {}),
        ),
    ],
)
def test_what_is_of_another_kind_than_the_hook_gives_names_the_plugin(
    simulator: Simulator, plugin: object, hook: str, kind: str, use: Callable[[Client], object]
) -> None:
    said = f"'{type(plugin).__name__}-.*' failed in {hook}: TypeError: it gave a str, and this hook gives a {kind} or"
    with pytest.raises(PluginError, match=said):
        use(Client(backend=simulator, plugins=[plugin]))


def test_an_error_of_a_plugin_is_one_of_the_package() -> None:
    assert issubclass(PluginError, ReplicateError)


# What adds something is asked when the client is made, and what it added is called later.

ADDING = ("replicate_resources", "replicate_backends", "replicate_transport_layer")


class Refusing:
    """What cannot be made: a resource, a backend or a layer."""

    error: Exception = KeyError("boom")

    def __init__(self, *given: Any) -> None:
        raise self.error


def adding(hook: str, gives: Callable[[], Any]) -> Any:
    """A plugin whose only hook gives this."""
    return type("Broken", (), {hook: staticmethod(hookimpl(gives))})()


def used_in_full(plugin: Any, backend: Any) -> None:
    """Make a client, and use what plugins have added to it."""
    client = Client(backend=backend, plugins=[plugin])
    client.models.list()
    client.boards  # noqa: B018


def contributed(hook: str, kind: Any) -> Any:
    """What a hook gives that adds a class."""
    return kind if hook == "replicate_transport_layer" else {"boards": kind}


@pytest.mark.parametrize("hook", ADDING)
@pytest.mark.parametrize("when", ["asked", "made"])
@pytest.mark.parametrize("error", [*ODD, asyncio.CancelledError("boom"), SystemExit("boom")], ids=repr)
def test_what_adds_something_is_named_when_it_fails(
    simulator: Simulator, hook: str, when: str, error: BaseException
) -> None:
    kind = type("Kind", (Refusing,), {"error": error})

    def gives() -> Any:
        if when == "asked":
            raise error
        return contributed(hook, kind)

    with pytest.raises(PluginError, match=f"'Broken-.* failed in {hook}: {type(error).__name__}") as caught:
        used_in_full(adding(hook, gives), "boards" if hook == "replicate_backends" else simulator)
    assert caught.value.__cause__ is error
    assert (caught.value.hook, (caught.value.plugin or "")[:7]) == (hook, "Broken-")


@pytest.mark.parametrize("hook", ADDING)
@pytest.mark.parametrize("when", ["asked", "made"])
def test_an_error_of_ours_in_what_adds_something_passes_with_one_note(
    simulator: Simulator, hook: str, when: str
) -> None:
    error = ConfigError("set BOARDS_URL")

    def gives() -> Any:
        if when == "asked":
            raise error
        return contributed(hook, type("Kind", (Refusing,), {"error": error}))

    with pytest.raises(ConfigError) as caught:
        used_in_full(adding(hook, gives), "boards" if hook == "replicate_backends" else simulator)
    (note,) = caught.value.__notes__
    assert note.startswith("Raised by the plugin 'Broken-")
    assert note.endswith(f"in {hook}.")


@pytest.mark.parametrize(
    ("hook", "gives", "said"),
    [
        ("replicate_resources", "boards", "it gave a str, and this hook gives a mapping of names to classes"),
        (
            "replicate_backends",
            ["boards"],
            "it gave a list, and this hook gives a mapping of names to classes",
        ),
        ("replicate_transport_layer", "boards", "it gave a str, and this hook gives a function from one"),
        ("replicate_resources", {5: Refusing}, "it gave the name 5, and names are texts"),
    ],
)
def test_what_adds_no_such_thing_is_named(simulator: Simulator, hook: str, gives: Any, said: str) -> None:
    with pytest.raises(PluginError, match=f"'Broken-.* failed in {hook}: TypeError: {said}"):
        used_in_full(adding(hook, lambda: gives), "boards" if hook == "replicate_backends" else simulator)


# What is logged of calls.


def calling(hook: str, *, later: bool) -> Any:
    """A plugin whose only hook declines, or does what the package or another plugin would do."""

    async def nothing() -> str:
        return "memory://shelf/one.png"

    return adding(hook, lambda: nothing() if later else None)


def hooks_logged(caplog: pytest.LogCaptureFixture, plugin: str = "Broken-") -> list[Any]:
    """The records of calls of a plugin's hooks."""
    return [each for each in caplog.records if getattr(each, "plugin", "").startswith(plugin)]


@pytest.mark.parametrize(("hook", "later"), [*HOOKS, *((each, False) for each in sorted(WATCHING))])
def test_calls_of_hooks_are_logged_where_that_is_asked_for(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, tmp_path: Path, hook: str, later: bool
) -> None:
    with caplog.at_level(logging.DEBUG, logger="replicate_kit.hooks"):
        client = Client(backend=simulator, plugins=[calling(hook, later=later)], poll_interval=0.01)
        given = [SMALL | {"prompt": date(2026, 1, 2)}]
        options: Any = {"save_to": SaveTo(tmp_path, manifest=True), "price": 1.0, "check_input": False}
        list(client.map("demo/painter", given, **options))
    record, *_ = hooks_logged(caplog)
    assert (record.levelno, record.event, record.hook) == (logging.DEBUG, "hook", hook)
    assert record.ms >= 0
    declined = ", declined" if not later and hook not in WATCHING else ""
    said = rf"{hook} of the plugin 'Broken-\w+': \d+\.\d{{3}} ms{declined}"
    assert re.fullmatch(said, record.getMessage())


@pytest.mark.parametrize(("hook", "later"), HOOKS)
def test_failures_are_logged_among_the_calls(
    simulator: Simulator, drive: Drive, caplog: pytest.LogCaptureFixture, hook: str, later: bool
) -> None:
    with caplog.at_level(logging.DEBUG, logger="replicate_kit.hooks"), pytest.raises(PluginError):
        drive(used(simulator, raising(hook, KeyError("boom"), later=later))())
    assert hooks_logged(caplog)[-1].getMessage().endswith(" ms, raised KeyError")


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_no_time_is_measured_where_nobody_listens(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    def measured() -> float:
        raise AssertionError("measured")

    monkeypatch.setattr("replicate_kit._runtime.foreign_code.perf_counter", measured)
    with caplog.at_level(level, logger="replicate_kit"):
        client = Client(backend=simulator, plugins=[calling("replicate_prediction_created", later=False)])
        assert client.run("demo/painter", SMALL)
    assert hooks_logged(caplog) == []


def test_each_hook_is_in_a_family_of_these_tests() -> None:
    tried = {hook for hook, _ in HOOKS} | WATCHING | {*ADDING, "replicate_commands"}  # tests/cli has the last
    assert tried == {name for name in vars(hooks) if name.startswith("replicate_")} - {
        "replicate_open_folder"
    }
