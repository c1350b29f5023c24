"""Builds the wheels and sdists of all packages, and tries them as somebody does who installs them.

    python tests/wheels [--pip] [--only EXTRA …] [--keep FOLDER]

Each extra is installed by itself, from these files and the configured index, into an empty environment. There the
README's snippets run, the demo, what the extra promises, and what says that another one is missing. Each sdist is
unpacked and tests itself in an environment of its own, and so does a new plugin of each kind, as
`replicate-kit plugins new` writes it. A table says what ran; `--pip` does without uv.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import building
from environments import Environment, Failed

ROOT = building.ROOT
HERE = Path(__file__).parent
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]
KINDS = ("backend", "store", "resource", "ledger", "accessor", "command")
PLUGINS = [name for name in building.PACKAGES if name != "replicate-kit"]


def main() -> int:
    """Build, try everything, print the table; give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pip", action="store_true", help="install with pip and venv, not with uv")
    parser.add_argument("--only", nargs="*", help="what to try, by the names in the table")
    parser.add_argument("--keep", type=Path, help="where to work; a temporary folder otherwise")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wheels-") as temporary:
        work = (options.keep or Path(temporary)).absolute()
        return _try_all(work, with_pip=options.pip, only=options.only)


def _try_all(work: Path, *, with_pip: bool, only: list[str] | None) -> int:
    """Try everything that was asked for."""
    begun = time.monotonic()
    dist = work / "dist"
    rows = [("built", *_timed(lambda: building.build(dist, "pip" if with_pip else "uv")))]
    for name, trial in _trials(work, dist, with_pip=with_pip):
        if not only or name in only:
            print(f"… {name}", flush=True)
            rows.append((name, *_timed(trial)))
    _print_table(rows)
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes")
    return int(any(failed for *_, failed in rows))


def _trials(work: Path, dist: Path, *, with_pip: bool) -> Iterator[tuple[str, object]]:
    """Name what is tried, with the function that does it."""

    def environment(name: str) -> Environment:
        return Environment(work / "env" / name, dist, with_pip=with_pip)

    for extra in ["", *EXTRAS, "cli,pandas"]:
        name = f"replicate-kit[{extra}]" if extra else "replicate-kit"
        yield name, lambda name=name, extra=extra: _try_extras(environment(extra or "core"), name, extra)
    for plugin in PLUGINS:
        extra = plugin.removeprefix("replicate-kit-")
        yield plugin, lambda plugin=plugin, extra=extra: _try_extras(environment(plugin), plugin, extra)
    for kinds in [*((kind,) for kind in KINDS), KINDS]:
        name = f"new {kinds[0] if len(kinds) == 1 else 'plugin of all kinds'}"
        yield name, lambda name=name, kinds=kinds: _try_new(environment, name, work / "new", kinds)
    yield "pytest", lambda: _try_pytest(environment("pytest"))
    for package in building.PACKAGES:
        yield (
            f"sdist of {package}",
            lambda package=package: _try_sdist(environment(f"sdist-{package}"), work, package),
        )


def _timed(trial: object) -> tuple[list[str], float, str]:
    """Try one thing: what ran, in how many seconds, and how it failed, if it did."""
    begun = time.monotonic()
    try:
        ran, failed = trial(), ""  # type: ignore[operator]
    except Failed as error:
        ran, failed = error.ran, str(error)
    return ran, time.monotonic() - begun, failed


def _try_extras(env: Environment, requirement: str, extras: str) -> list[str]:
    """Install the package with some extras alone, and see that they keep what they promise."""
    env.install(requirement)
    env.check_origin()
    env.run_checks("names")
    env.run_checks("missing")
    env.run_checks("readme", str(ROOT / "README.md"), separately=True)
    chosen = set((extras if extras != "all" else EXTRAS["all"][0].partition("[")[2].rstrip("]")).split(","))
    for extra in sorted(chosen - {""}):
        env.run_checks(f"promise:{extra}")
        page = ROOT / "plugins" / f"replicate-kit-{extra}" / "README.md"
        if page.is_file():
            env.run_checks("readme", str(page))
    env.run_command()
    return env.ran


def _try_new(
    environment: Callable[[str], Environment], name: str, work: Path, kinds: tuple[str, ...]
) -> list[str]:
    """Write a plugin, install it with its own tools into an empty environment, and run its checks."""
    folder, maker = work / name.replace(" ", "-"), environment("new")
    if not maker.folder.is_dir():
        maker.install("replicate-kit[cli]")
    shutil.rmtree(folder, ignore_errors=True)
    options = [f"--{kind}" for kind in kinds]
    new = ["plugins", "new", "boards", "--into", str(folder), *options]
    maker.execute("written", maker.python, "-m", "replicate_kit", *new, cwd=work.parent)
    env = environment(folder.name)
    env.install("--group", f"{folder / 'pyproject.toml'}:dev", "-e", str(folder))
    for check in (["pytest", "-q"], ["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        env.execute(check[0], env.python, "-m", *check, cwd=folder)
    return env.ran


def _try_pytest(env: Environment) -> list[str]:
    """Install the package beside pytest alone, and see that its fixtures are found."""
    env.install("replicate-kit", "pytest")
    env.run_pytest()
    return env.ran


def _try_sdist(env: Environment, work: Path, package: str) -> list[str]:
    """Unpack an sdist, install it as its own README says, and run its tests."""
    folder = building.unpack(env.dist, package, work / "sdist")
    if package == "replicate-kit":
        plugins = [part for name in PLUGINS for part in ("-e", str(folder / "plugins" / name))]
        env.install("--group", f"{folder / 'pyproject.toml'}:test", "-e", f"{folder}[all]", *plugins)
        # The rooms that are ours, what is at the top, and what stores files: neither processes nor servers of others.
        patterns = ("tests/_[a-z]*", "tests/stores", "tests/test_*.py")
        tests = sorted(str(each) for pattern in patterns for each in folder.glob(pattern))
        options = ["-m", "not slow", "-n", "2"]
    else:
        env.install(str(folder), *building.TEST_TOOLS)
        tests, options = [str(folder / "tests")], ["--import-mode=importlib", "--ignore-glob=*stores*"]
    env.execute("its tests", env.python, "-m", "pytest", "-q", *options, *tests, cwd=folder)
    return env.ran


def _print_table(rows: list[tuple[str, list[str], float, str]]) -> None:
    """Print what ran with what."""
    width = max(len(name) for name, *_ in rows)
    print(f"\n{'installed':{width}}  seconds  what ran")
    for name, ran, seconds, failed in rows:
        print(f"{name:{width}}  {seconds:7.1f}  {', '.join(ran)}{'  FAILED' if failed else ''}")
    for name, _, _, failed in rows:
        if failed:
            print(f"\n{name}: {failed}")


if __name__ == "__main__":
    sys.exit(main())
