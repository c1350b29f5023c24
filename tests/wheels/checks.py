"""Runs in the environment that is tried, with nothing but what is installed there.

    python -I checks.py CHECK [ARGUMENTS]

Prints, as its last line, what ran.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import csv
import importlib
import inspect
import os
import pkgutil
import re
import runpy
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib.metadata import distributions, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import replicate_kit
from replicate_kit import Client
from replicate_kit.errors import ConfigError, ConnectFailed, JournalError, MissingExtraError

_BLOCK = re.compile(r"(<!--+ *skip: next.*?-->\s*)?^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _error_of(kind: type[Exception], function: Callable[..., object], *arguments: object) -> str:
    """Call a function; give what the error says that it raises, or nothing."""
    try:
        function(*arguments)
    except kind as error:
        return str(error)
    return ""


def origin(dist: str) -> str:
    """See that each installed package of ours is the one in `dist`, file by file."""
    seen = 0
    for each in distributions():
        name = each.metadata["Name"].replace("-", "_")
        if not name.startswith("replicate_kit"):
            continue
        (wheel,) = Path(dist).glob(f"{name}-{each.version}-*.whl")
        with zipfile.ZipFile(wheel) as packed:
            for file in files(each.metadata["Name"]) or ():
                if file.parts[0] == name and "__pycache__" not in file.parts:
                    assert packed.read(str(file)) == file.read_binary(), file
        seen += 1
    assert seen
    return "origin"


def names() -> str:
    """Load every public name, and every module; what lacks a part says which extra to install."""
    for name in replicate_kit.__all__:
        getattr(replicate_kit, name)
    for module in pkgutil.walk_packages(replicate_kit.__path__, "replicate_kit.", onerror=lambda name: None):
        if module.name.endswith("__main__"):
            continue
        said = _error_of(ImportError, importlib.import_module, module.name)
        if module.name.startswith("replicate_kit.testing.") and said == "No module named 'pytest'":
            continue  # what pytest alone loads
        assert not said or 'pip install "' in said, f"{module.name}: {said}"
    assert (Path(replicate_kit.__file__).parent / "py.typed").is_file()
    return "all names"


def missing() -> str:
    """Ask for what is not installed: an error names the extra, before anything is paid for."""
    client = Client(backend="mock")
    rows: list[dict[str, Any]] = [{"prompt": "a hill"}]
    asked: dict[str, Callable[[], object]] = {
        "s3": lambda: client.plan("demo/painter", rows, save_to="s3://bucket/a"),
        "gcs": lambda: client.plan("demo/painter", rows, save_to="gs://bucket/a"),
        "azure": lambda: client.plan("demo/painter", rows, save_to="az://container/a"),
        "fsspec": lambda: client.plan("demo/painter", rows, save_to="memory://a"),
        "progress": lambda: list(client.map("demo/painter", rows, progress=True)),
        "server": lambda: importlib.import_module("replicate_kit.serving"),
        "cli": lambda: importlib.import_module("replicate_kit.cli"),
        "fast": lambda: Client(backend="fast"),
    }
    needs = {
        "s3": "s3fs",
        "gcs": "gcsfs",
        "azure": "adlfs",
        "fsspec": "replicate_kit_fsspec",
        "progress": "tqdm",
    }
    needs |= {"server": "starlette", "cli": "click", "fast": "aiohttp"}
    told = 0
    for extra, ask in asked.items():
        if find_spec(needs[extra]) is not None:
            continue
        said = _error_of(MissingExtraError, ask)
        assert f'pip install "replicate-kit[{extra}]"' in said, f"{extra}: {said}"
        told += 1
    assert client.run("demo/poet", {"prompt": "a hill"})
    return f"{told} missing extras told" if told else "no extra is missing"


def readme(page: str, *options: str) -> str:
    """Run the Python blocks of a page, as far as what they import is installed."""
    namespace: dict[str, Any] = {}
    ran = count = 0
    for skipped, source in _BLOCK.findall(Path(page).read_text("utf-8")):
        if "--separately" in options:
            namespace = {}
        count += 1
        if skipped or not _importable(source):
            continue
        namespace.setdefault("__name__", "__main__")
        done = eval(
            compile(source, page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True), namespace
        )
        if inspect.iscoroutine(done):
            asyncio.run(done)
        ran += 1
    return f"{Path(page).parent.name if 'plugins' in page else ''} README {ran} of {count}".strip()


def _importable(source: str) -> bool:
    """Whether everything that a block imports is installed."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in found if isinstance(node, ast.ImportFrom)}
    # Others bring pandas along as well, and no accessor.
    modules |= {f"replicate_kit_{each}" for each in ("pandas", "polars") if each in modules}
    return all(map(_is_there, modules))


def _is_there(module: str) -> bool:
    """Whether a module is installed, and the packages that it is in."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def promise_pandas() -> None:
    """A Series runs, and its pictures are saved."""
    import pandas as pd

    pictures = pd.Series(["a hill", None], name="prompt").replicate.run("demo/painter", save_to="pictures")
    assert Path(pictures[0]).is_file()


def promise_polars() -> None:
    """A Series runs, and so does an expression, and its pictures are saved."""
    import polars as pl

    prompts = pl.DataFrame({"prompt": ["a hill", None]})
    pictures = prompts["prompt"].replicate.run("demo/painter", save_to="pictures")
    assert Path(pictures[0]).is_file()
    poem = pl.col("prompt").replicate.run("demo/poet")
    assert prompts.lazy().select(poem).collect()["output"].is_null().to_list() == [False, True]


def promise_cog() -> None:
    """The backend is there, and says how to start a server where there is none."""
    from replicate_kit import Client
    from replicate_kit.errors import ConnectFailed

    client = Client(backend="cog", base_url="http://127.0.0.1:1", retries=0)
    assert "replicate-kit cog serve" in _error_of(ConnectFailed, client.models.get, "acme/words")


def promise_dask() -> None:
    """A Series runs, in parts."""
    import dask.dataframe as dd
    import pandas as pd

    prompts = dd.from_pandas(pd.Series(["a hill", None], name="prompt"), npartitions=2)
    poems = prompts.replicate.run("demo/poet", journal="memory://poems").compute(scheduler="threads")
    assert poems.isna().tolist() == [False, True]


def promise_postgres() -> None:
    """A URL is a journal: the server is asked for, and is not there."""
    client, journal = Client(backend="mock"), "postgresql://user@127.0.0.1:1/wombats"
    said = _error_of(JournalError, lambda: client.plan("demo/poet", [{"prompt": "a"}], journal=journal))
    assert journal in said, said


def _promise_engine(package: str, table: str) -> None:
    """A table that is none of the engine's is refused, with the right one named; no cluster is started."""
    run = importlib.import_module(package).run
    said = _error_of(ConfigError, lambda: run(["a"], "demo/poet", journal="postgresql://user@host/wombats"))
    assert table in said, said


def promise_ray() -> None:
    """Ray is there."""
    _promise_engine("replicate_kit_ray", "Dataset")


def promise_spark() -> None:
    """A DataFrame is asked for; pyspark comes from the cluster."""
    _promise_engine("replicate_kit_spark", "DataFrame of Spark")


def promise_fsspec() -> None:
    """Files go to a store, and come from `replicate://`."""
    import fsspec

    client = Client(backend="mock")
    (url,) = client.run("demo/painter", {"prompt": "a hill"}, save_to="memory://shelf")
    assert fsspec.filesystem("memory").cat(url).startswith(b"\x89PNG")
    assert "replicate" in fsspec.available_protocols()


def _promise_store(url: str, package: str) -> None:
    """The store's filesystem is asked for, and knows its options; nothing leaves the machine."""
    importlib.import_module(package)
    client, options = Client(backend="mock"), {"acccount_nme": 1}
    said = _error_of(
        ConfigError,
        lambda: client.plan("demo/painter", [{"prompt": "a"}], save_to=url, storage_options=options),
    )
    assert "takes no 'acccount_nme'" in said, said


def promise_s3() -> None:
    """S3."""
    _promise_store("s3://bucket/a", "s3fs")


def promise_gcs() -> None:
    """Google Cloud Storage."""
    _promise_store("gs://bucket/a", "gcsfs")


def promise_azure() -> None:
    """Azure."""
    _promise_store("az://container/a", "adlfs")


def promise_opentelemetry() -> None:
    """The plugin is found."""
    assert "opentelemetry" in Client(backend="mock").plugins.names
    assert Client(backend="mock").run("demo/poet", {"prompt": "sea"})


def promise_server() -> None:
    """The box is served, with its page."""
    import httpx

    from replicate_kit.serving import Server

    with Server(https=False) as server:
        assert "<html" in httpx.get(server.url.removesuffix("/v1")).text
        with Client("any", backend="http", base_url=server.url, poll_interval=0.01) as client:
            assert client.run("demo/poet", {"prompt": "sea"})

    command = [sys.executable, "-u", "-m", "replicate_kit", "serve", "--port", "0", "--no-https"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("http://127.0.0.1:" in line for line in process.stdout)
        finally:
            process.kill()


def _command(*arguments: str) -> str:
    """Run the command line."""
    from io import StringIO

    from replicate_kit.cli import cli

    with contextlib.redirect_stdout(StringIO()) as said:
        cli([*arguments], standalone_mode=False)
    return said.getvalue()


def promise_cli() -> None:
    """A table on the command line."""
    Path("table.csv").write_text("text\na hill\na wombat\n", "utf-8")
    with contextlib.suppress(SystemExit):
        _command(
            "map",
            "demo/painter",
            "table.csv",
            "--input",
            "prompt=text",
            "--save-to",
            "made",
            "--out",
            "made.csv",
        )
    with open("made.csv", encoding="utf-8", newline="") as table:
        assert [Path(row["output"]).is_file() for row in csv.DictReader(table)] == [True, True]


def promise_parquet() -> None:
    """A table in Parquet on the command line."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"prompt": ["a hill"]}), "table.parquet")
    with contextlib.suppress(SystemExit):
        _command("map", "demo/poet", "table.parquet", "--input", "prompt=prompt", "--out", "made.parquet")
    assert pq.read_table("made.parquet").num_rows == 1


def promise_excel() -> None:
    """A spreadsheet on the command line."""
    write_xlsx = runpy.run_path(str(Path(__file__).parents[1] / "spreadsheets.py"))["write_xlsx"]
    write_xlsx(Path("table.xlsx"), {"Sheet1": [["prompt"], ["a hill"]]})
    with contextlib.suppress(SystemExit):
        _command("map", "demo/poet", "table.xlsx", "--input", "prompt=prompt")
    with open("table-results.csv", encoding="utf-8", newline="") as table:
        assert [row["status"] for row in csv.DictReader(table)] == ["succeeded"]


def promise_fast() -> None:
    """Requests go by aiohttp, blocking and in an event loop."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = Client("any", backend="fast", base_url=f"http://127.0.0.1:{port}", retries=0)
    said = _error_of(ConnectFailed, client.predictions.get, "p1")
    assert "nothing listens" in said, said
    said = _error_of(ConnectFailed, asyncio.run, client.predictions.async_get("p1"))
    assert "nothing listens" in said, said


def promise_keyring() -> None:
    """A keyring is asked for, and tokens go to the file where there is none."""
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    os.environ["XDG_CONFIG_HOME"] = os.environ["LOCALAPPDATA"] = tempfile.mkdtemp()
    import keyring

    from replicate_kit._user.tokens import forget_token, keep_token, kept_token

    assert keyring.get_keyring()
    keep_token("http://localhost", "r8_any")
    assert kept_token("http://localhost") == "r8_any"
    assert forget_token("http://localhost")


def promise_progress() -> None:
    """A bar."""
    with Client(backend="mock").map("demo/poet", [{"prompt": "sea"}], progress=True) as results:
        assert len(list(results)) == 1


def promise(extra: str) -> str:
    """See that an extra does what it is for."""
    check = globals().get(f"promise_{extra}")
    if check is None:
        return f"{extra} is installed"  # one that has no check of its own yet
    check()
    return f"{extra} works"


def main() -> None:
    """Run the check that was asked for."""
    name, *arguments = sys.argv[1:]
    check, _, extra = name.partition(":")
    ran = globals()[check](*([extra] if extra else arguments))
    print(f"\n{ran}")  # what ran before may have left its line open


if __name__ == "__main__":
    main()
