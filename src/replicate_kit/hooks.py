"""The hooks. A plugin is any object or module with functions of these names, marked with `hookimpl`.

What they raise becomes a `PluginError` that names the plugin and the hook.

Imports nothing at run time but pluggy, so that a plugin costs nothing until it is used.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from replicate_kit._files.outputs import FileOutput
    from replicate_kit._formats.references import Reference
    from replicate_kit._http.session import Session
    from replicate_kit.config import Config
    from replicate_kit.resources._resource import Resource
    from replicate_kit.resources.predictions import Prediction
    from replicate_kit.storage import StoredFile, Target
    from replicate_kit.stores._locations import Location
    from replicate_kit.transport import Backend, Layer

__all__ = ["GROUP", "hookimpl"]

GROUP = "replicate_kit"
"""Name of the pluggy project, and of the entry-point group in which distributions announce their plugins."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def replicate_resources() -> Mapping[str, type[Resource]]:  # type: ignore[empty-body]
    """Add groups of operations to every client: `{"boards": Boards}` makes `client.boards`.

    Two plugins that name the same one are an error that names both.

    >>> from replicate_kit import Client, Resource, hookimpl
    >>> class Boards(Resource):
    ...     motto = "surf"
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_resources(self):
    ...         return {"boards": Boards}
    >>> Client(backend="mock", plugins=[Plugin()]).boards.motto
    'surf'
    """


@hookspec
def replicate_backends() -> Mapping[str, type[Backend]]:  # type: ignore[empty-body]
    """Add services where predictions run: `{"cog": Cog}` makes `Client(backend="cog")`.

    The class is called without arguments. Two plugins that name the same one are an error that names both.

    >>> from replicate_kit import Client, hookimpl
    >>> from replicate_kit.backends.mock import MockBackend
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_backends(self):
    ...         return {"rehearsal": MockBackend}
    >>> Client(backend="rehearsal", plugins=[Plugin()]).run("demo/poet", {"prompt": "sea"}) != ""
    True
    """


@hookspec
def replicate_transport_layer(config: Config) -> Layer | None:
    """Put a layer around the transport: a function from one transport to another; None for none.

    It sees each attempt of each request, under every driver, before the retries do.

    >>> from replicate_kit import Client, hookimpl
    >>> seen = []
    >>> class Watch:
    ...     def __init__(self, inner):
    ...         self.inner = inner
    ...     async def send(self, request, /, *, stream=False):
    ...         seen.append(request.method)
    ...         return await self.inner.send(request, stream=stream)
    ...     async def aclose(self):
    ...         await self.inner.aclose()
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_transport_layer(self, config):
    ...         return Watch
    >>> page = Client(backend="mock", plugins=[Plugin()]).models.list()
    >>> seen
    ['GET']
    """


@hookspec(firstresult=True)
def replicate_parse_reference(ref: str) -> Reference | None:
    """Read a way of naming a model that the API does not know; None to decline.

    >>> from replicate_kit import Client, Reference, hookimpl
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_parse_reference(self, ref):
    ...         return Reference("demo", "poet") if ref == "my-poet" else None
    >>> Client(backend="mock", plugins=[Plugin()]).run("my-poet", {"prompt": "sea"}) != ""
    True
    """


@hookspec(firstresult=True)
def replicate_encode_input(value: Any, session: Session) -> Any:
    """Make JSON of a value in a model's input; a coroutine of it where that needs I/O; None to decline.

    Asked for whatever is not text, a number, a bool, None, a list or a dict.

    >>> from replicate_kit import Client, hookimpl
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_encode_input(self, value, session):
    ...         return f"{value.real} and {value.imag}" if isinstance(value, complex) else None
    >>> client = Client(backend="mock", plugins=[Plugin()])
    >>> client.predictions.create(model="demo/poet", input={"prompt": 1 + 2j}).input["prompt"]
    '1.0 and 2.0'
    """


@hookspec(firstresult=True)
def replicate_decode_output(value: Any, prediction: Prediction, session: Session) -> Any:
    """Make a Python value of a model's output (the whole of it, as JSON); None to decline.

    What it raises is an error of this prediction, which carries it, and of no other row of a batch.

    >>> from replicate_kit import Client, hookimpl
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_decode_output(self, value, prediction, session):
    ...         return "".join(value).upper() if prediction.model == "demo/poet" else None
    >>> str(Client(backend="mock", plugins=[Plugin()]).run("demo/poet", {"prompt": "sea"})).isupper()
    True
    """


@hookspec(firstresult=True)
def replicate_check_target(target: Target, session: Session) -> Coroutine[Any, Any, None] | None:
    """Find out whether files can be stored at a target, before anything is paid for: a coroutine that raises
    what stands against it; None to decline.

    Asked once for each run or batch. A plugin that stores files and has nothing to check may do without it.

    >>> from replicate_kit import Client, hookimpl
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_check_target(self, target, session):
    ...         return self.look(target) if target.folder.startswith("shelf://") else None
    ...     async def look(self, target):
    ...         raise FileNotFoundError(f"There is no {target.folder}. Build it first.")
    >>> Client(backend="mock", plugins=[Plugin()]).run("demo/painter", {"prompt": "a hill"}, save_to="shelf://")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no shelf://. Build it first.
    Raised by the plugin 'Plugin-...' in replicate_check_target.
    """


@hookspec(firstresult=True)
def replicate_store_output(
    file: FileOutput, target: Target, session: Session
) -> Coroutine[Any, Any, str | StoredFile] | None:
    """Store an output file as `save_to=` asks: a coroutine of the URL where it now is, or of the whole record
    of it; None to decline.

    Whether it declines must not need I/O: it is also asked before anything is paid for, with an empty file,
    and what it returns is then closed without being awaited.

    >>> from replicate_kit import Client, hookimpl
    >>> shelf = {}
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_store_output(self, file, target, session):
    ...         return self.put(file, target) if target.folder.startswith("shelf://") else None
    ...     async def put(self, file, target):
    ...         shelf[target.stem] = await file.async_read()
    ...         return f"{target.folder}{target.stem}"
    >>> client = Client(backend="mock", plugins=[Plugin()])
    >>> url = client.run("demo/painter", {"prompt": "a hill"}, save_to="shelf://")
    >>> len(shelf)
    1
    """


@hookspec(firstresult=True)
def replicate_record_files(
    files: Sequence[StoredFile], target: Target, session: Session
) -> Coroutine[Any, Any, None] | None:
    """Keep the records of stored files beside them, where `SaveTo(manifest=True)` asks for it: a coroutine that
    does it; None to decline.

    `target` is in the folder of the files, its stem is "manifest". Asked once for a run and once for a batch.

    >>> from replicate_kit import Client, hookimpl
    >>> from replicate_kit.storage import SaveTo
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_record_files(self, files, target, session):
    ...         return self.list(files)
    ...     async def list(self, files):
    ...         print(len(files), "file of", files[0].size, "bytes")
    >>> client = Client(backend="mock", plugins=[Plugin()])
    >>> output = client.run("demo/painter", {"prompt": "a hill"}, save_to=SaveTo("memory://hills", manifest=True))
    1 file of ... bytes
    """


@hookspec(firstresult=True)
def replicate_open_folder(folder: str, options: Mapping[str, Any]) -> Location | None:
    """Find a folder in which files were stored, to read its manifest and compare the files with it; None to
    decline.

    `folder` is what was passed as `save_to`, `options` go to the storage. `replicate-kit files verify` asks.

    >>> from replicate_kit import Client, hookimpl
    >>> from replicate_kit.stores import local_folder
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_open_folder(self, folder, options):
    ...         return local_folder("pictures") if folder == "shelf://" else None
    >>> Client(backend="mock", plugins=[Plugin()]).plugins.hooks.open_folder("shelf://", {}).url
    'pictures'
    """


@hookspec
def replicate_prediction_created(prediction: Prediction) -> None:
    """Be told that this client has created a prediction, once for each: in a run, a stream, a create or a row of
    `map`. What it raises is logged.

    A create of `map` whose answer was lost is told when its prediction is found. `prediction.label` is the label of
    its `map`. A prediction that has ended by then is told here alone, and not as a change.

    >>> from replicate_kit import Client, hookimpl
    >>> seen = []
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_prediction_created(self, prediction):
    ...         seen.append((prediction.model, prediction.label))
    >>> client = Client(backend="mock", plugins=[Plugin()])
    >>> client.run("demo/poet", {"prompt": "sea"}) != ""
    True
    >>> results = list(client.map("demo/poet", [{"prompt": "hill"}], label="nightly"))
    >>> seen
    [('demo/poet', None), ('demo/poet', 'nightly')]
    """


@hookspec
def replicate_prediction_changed(prediction: Prediction, previous: Prediction | None) -> None:
    """Be told that something new is known of a prediction; `previous` is what was known before, None at
    first. What it raises is logged.

    >>> from replicate_kit import Client, hookimpl
    >>> seen = []
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_prediction_changed(self, prediction, previous):
    ...         seen.append((previous and previous.status, prediction.status))
    >>> client = Client(backend="mock", plugins=[Plugin()])
    >>> prediction = client.predictions.create(model="demo/poet", input={"prompt": "sea"})
    >>> seen
    [(None, 'starting')]
    """


@hookspec
def replicate_prediction_charged(
    prediction_id: str | None, model: str | None, cost: float, label: str | None
) -> None:
    """Be told what a prediction of `map` has cost, once for each that has ended and is billed, in the unit of its
    price. What it raises is logged.

    Nothing is told where no price is known. `model` is that of the prediction, without its version, `label` that of the
    `map`.

    >>> from replicate_kit import Client, hookimpl
    >>> seen = []
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_prediction_charged(self, model, cost):
    ...         seen.append((model, cost))
    >>> client = Client(backend="mock", plugins=[Plugin()])
    >>> results = list(client.map("demo/poet", [{"prompt": "hill"}], price=0.25))
    >>> seen
    [('demo/poet', 0.25)]
    """


@hookspec
def replicate_file_saved(file: StoredFile, model: str | None, label: str | None) -> None:
    """Be told of each output file that a run or a row of `map` has saved. What it raises is logged.

    `file.saved_at` is None where the file was there before, as with `if_exists="skip"`. `model` is that of the
    prediction, without its version; None where a `map` of a deployment or of a version's id saves what an earlier run
    has paid for. `label` is that of the `map`.

    >>> from replicate_kit import Client, hookimpl
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_file_saved(self, file, model):
    ...         print(model, "made a file of", file.size, "bytes")
    >>> client = Client(backend="mock", plugins=[Plugin()])
    >>> output = client.run("demo/painter", {"prompt": "a hill"}, save_to="memory://hills")
    demo/painter made a file of ... bytes
    """


@hookspec
def replicate_commands(cli: click.Group) -> None:
    """Add commands to the command line `replicate-kit`.

    >>> import click
    >>> from replicate_kit import hookimpl
    >>> class Plugin:
    ...     @hookimpl
    ...     def replicate_commands(self, cli):
    ...         @cli.command()
    ...         def hello():
    ...             click.echo("hello")
    """
