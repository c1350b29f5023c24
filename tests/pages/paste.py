"""A program that runs what it is given on standard input as a reader would who pastes it, block by block.

It knows nothing of this package. It answers with one line of JSON for each block, on the file descriptor that it is
given. Connections to other machines are refused, and are a failure of the block that asks for them.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import ipaddress
import json
import linecache
import os
import subprocess
import sys
import tempfile
import traceback
import types
import warnings
from typing import Any

refused: list[str] = []

PRELOADED = ("anyio", "asyncio", "httpx", "pandas", "pluggy", "s3fs", "starlette", "trio")
"""What is imported once and not for each block: other people's packages, which take the longest to import."""


def guard(event: str, args: tuple[Any, ...]) -> None:
    """Refuse what would leave this machine."""
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = args[1] if event == "socket.connect" else args
        host = address[0] if isinstance(address, tuple) else None
        if isinstance(host, str | bytes) and not _here(host if isinstance(host, str) else host.decode()):
            refused.append(f"{event} {host}")
            raise OSError(f"a page must not need the network: {host}")


def _here(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    return host in ("localhost", "")


def run(block: dict[str, Any], module: types.ModuleType) -> dict[str, Any]:
    """Run a block, and say what it printed and what went wrong."""
    printed = io.StringIO()
    error = None
    refused.clear()
    try:
        with contextlib.redirect_stdout(printed):
            _do(block, module)
    except BaseException as raised:
        error = "".join(traceback.format_exception(raised))
    if refused and not error:
        error = f"wanted to reach other machines: {refused}"
    return {"line": block["line"], "printed": printed.getvalue(), "error": error}


def _do(block: dict[str, Any], module: types.ModuleType) -> None:
    if block["language"] == "python":
        if block["file"]:
            with open(block["file"], "w", encoding="utf-8") as file:
                file.write(block["code"])
        name, code = f"{block['page']} block of line {block['line']}", block["code"]
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        exec(compile(code, name, "exec", dont_inherit=True), module.__dict__)
    else:
        done = subprocess.run(["bash", "-e", "-c", block["code"]], capture_output=True, text=True)
        print(done.stdout, end="")
        if done.returncode:
            raise RuntimeError(f"status {done.returncode}\n{done.stdout}\n{done.stderr}")


def new_module() -> types.ModuleType:
    """An empty namespace, by the name that a script has."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    return module


def alone(block: dict[str, Any], answers: Any) -> None:
    """Run a block in a process and a folder of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries have threads of their own, which do nothing yet
        child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    with tempfile.TemporaryDirectory(dir=".") as folder:
        os.chdir(folder)
        answer(answers, run(block, new_module()))
        os.chdir("/")
    os._exit(0)


def answer(answers: Any, result: dict[str, Any]) -> None:
    """Tell the result of a block."""
    answers.write(json.dumps(result) + "\n")
    answers.flush()


def main() -> None:
    """Run all blocks, in one namespace or each by itself."""
    task = json.load(sys.stdin)
    sys.path[0] = ""  # as for a script in this folder
    sys.addaudithook(guard)
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as answers:
        each_alone(task["blocks"], answers) if task["alone"] else all_together(task["blocks"], answers)


def each_alone(blocks: list[dict[str, Any]], answers: Any) -> None:
    """Run each block by itself."""
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for block in blocks:
        alone(block, answers)


def all_together(blocks: list[dict[str, Any]], answers: Any) -> None:
    """Run the blocks in one namespace."""
    module = new_module()
    for block in blocks:
        answer(answers, run(block, module))


if __name__ == "__main__":
    main()
