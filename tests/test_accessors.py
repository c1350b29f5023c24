"""Accessors appear on a host library, whichever of the two is imported first. Each test runs a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOST = "polars"  # a stand-in for it: what counts is the name


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a host library and a distribution that announces an accessor for it."""
    _write(tmp_path / HOST / "__init__.py", "accessors = []\ndone = True\n")
    _write(
        tmp_path / "an_accessor.py", f"import {HOST}\nassert {HOST}.done\n{HOST}.accessors.append(__name__)\n"
    )
    _announce(tmp_path, "a-plugin", HOST, "an_accessor")
    return tmp_path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _announce(site: Path, distribution: str, host: str, module: str) -> None:
    """Install a distribution that consists of an entry point."""
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    _write(info / "METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    _write(info / "entry_points.txt", f"[replicate_kit.accessors]\n{host} = {module}\n")


def _python(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that must end well."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def test_accessor_is_registered_when_the_host_comes_first(site: Path) -> None:
    code = f"import {HOST}, replicate_kit; assert {HOST}.accessors == ['an_accessor']"
    _python(code, site)


def test_accessor_is_registered_when_the_host_comes_second(site: Path) -> None:
    code = f"import replicate_kit, {HOST}; assert {HOST}.accessors == ['an_accessor']"
    _python(code, site)


def test_accessor_is_registered_when_another_module_imports_the_host(site: Path) -> None:
    _write(site / "middle.py", f"from {HOST} import done\n")
    _python(f"import replicate_kit, middle, {HOST}; assert {HOST}.accessors == ['an_accessor']", site)


def test_host_inside_a_package_is_noticed(site: Path) -> None:
    _write(site / "dask" / "__init__.py", "")
    _write(site / "dask" / "dataframe.py", "accessors = []\n")
    _write(site / "dask_accessor.py", "import dask.dataframe\ndask.dataframe.accessors.append(1)\n")
    _announce(site, "dask-plugin", "dask", "dask_accessor")
    _python("import replicate_kit, dask.dataframe; assert dask.dataframe.accessors == [1]", site)


def test_host_that_imports_the_package_itself_gets_its_accessor_in_the_end(site: Path) -> None:
    _write(site / HOST / "__init__.py", "import replicate_kit\naccessors = []\ndone = True\n")
    late = _python(f"import {HOST}; print({HOST}.accessors)", site)
    assert late.stderr == ""
    _python(f"import replicate_kit, {HOST}; assert {HOST}.accessors == ['an_accessor']", site)


def test_spec_and_loader_are_left_as_they_were_found(site: Path) -> None:
    shown = (
        f"import {HOST} as host; from importlib import resources\n"
        "print(type(host.__loader__), host.__spec__.loader is host.__loader__, host.__spec__.origin,"
        " host.__file__, list(host.__path__), resources.files(host))"
    )
    assert _python(f"import replicate_kit; {shown}", site).stdout == _python(shown, site).stdout


def test_spec_of_a_host_that_is_not_imported_can_be_read(site: Path) -> None:
    code = (
        "import replicate_kit, importlib.util, sys\n"
        f"spec = importlib.util.find_spec('{HOST}')\n"
        f"assert spec.loader.is_package('{HOST}') and spec.loader.get_source('{HOST}')\n"
        f"assert '{HOST}' not in sys.modules\n"
        f"import {HOST}; assert {HOST}.accessors == ['an_accessor']"
    )
    _python(code, site)


def test_reload_of_the_host_changes_nothing(site: Path) -> None:
    code = (
        f"import replicate_kit, importlib, {HOST}\n"
        f"before = {HOST}.__spec__.loader.__class__\n"
        f"importlib.reload({HOST}); assert {HOST}.__spec__.loader.__class__ is before"
    )
    _python(code, site)


def test_broken_accessor_does_not_break_the_host(site: Path) -> None:
    _write(site / "an_accessor.py", "raise OSError('no disk')\n")
    done = _python(f"import replicate_kit, {HOST}; assert {HOST}.done", site)
    assert "The accessor 'polars' of a-plugin did not load: OSError('no disk')" in done.stderr


@pytest.mark.parametrize("first", [f"replicate_kit, {HOST}", f"{HOST}, replicate_kit"])
@pytest.mark.parametrize(
    "raised", ["SystemExit(3)", "GeneratorExit()", "__import__('asyncio').CancelledError()"]
)
def test_accessor_that_ends_the_program_does_not(site: Path, raised: str, first: str) -> None:
    _write(site / "an_accessor.py", f"raise {raised}\n")
    done = _python(f"import {first}; assert {HOST}.done; print('went on')", site)
    assert "went on" in done.stdout
    assert "The accessor 'polars' of a-plugin did not load" in done.stderr


def test_accessor_of_a_module_that_is_missing_does_not_break_the_package(site: Path) -> None:
    (site / "an_accessor.py").unlink()
    done = _python(f"import {HOST}, replicate_kit; replicate_kit.Client", site)
    assert "a-plugin did not load: ModuleNotFoundError" in done.stderr


def test_broken_accessor_does_not_keep_another_from_registering(site: Path) -> None:
    _announce(site, "another-plugin", HOST, "nowhere")
    done = _python(f"import replicate_kit, {HOST}; assert {HOST}.accessors == ['an_accessor']", site)
    assert "another-plugin" in done.stderr


def test_host_that_is_not_installed_is_missed_as_usual(tmp_path: Path) -> None:
    code = (
        "import replicate_kit\n"
        "try:\n    import dask.dataframe.nowhere\n"
        "except ModuleNotFoundError as error:\n    assert error.name.startswith('dask')\n"
        "else:\n    raise AssertionError"
    )
    _python(code, tmp_path)


def test_host_whose_import_fails_can_be_imported_later(site: Path) -> None:
    _write(site / HOST / "__init__.py", "import os\naccessors = []\ndone = True\nos.environ['READY']\n")
    code = (
        "import replicate_kit, os\n"
        f"try:\n    import {HOST}\nexcept KeyError:\n    os.environ['READY'] = 'yes'\n"
        f"import {HOST}; assert {HOST}.accessors == ['an_accessor']"
    )
    _python(code, site)


def test_host_imported_in_many_threads_is_registered_once(site: Path) -> None:
    _write(site / HOST / "__init__.py", "import time\naccessors = []\ntime.sleep(0.05)\ndone = True\n")
    code = (
        "import replicate_kit, threading, importlib\n"
        f"threads = [threading.Thread(target=importlib.import_module, args=('{HOST}',)) for _ in range(8)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        f"import {HOST}; assert {HOST}.accessors == ['an_accessor']"
    )
    _python(code, site)


def test_finders_and_callers_of_other_times_are_served(site: Path) -> None:
    """A finder may have no `find_spec`, caches are emptied, and a spec is copied before it is used."""
    code = (
        "import replicate_kit, sys, importlib, importlib.util, copy, warnings\n"
        "class Old:\n    def find_module(self, name, path=None):\n        return None\n"
        "warnings.simplefilter('ignore', ImportWarning)\n"
        "sys.meta_path.insert(1, Old())\n"
        "importlib.invalidate_caches()\n"
        f"copied = copy.deepcopy(importlib.util.find_spec('{HOST}'))\n"
        f"assert copied.loader.is_package('{HOST}')\n"
        f"import {HOST}; assert {HOST}.accessors == ['an_accessor']"
    )
    _python(code, site)


def test_host_that_is_loaded_when_it_is_first_used_gets_its_accessor_then(site: Path) -> None:
    code = (
        "import replicate_kit, sys, importlib.util\n"
        f"spec = importlib.util.find_spec('{HOST}')\n"
        "spec.loader = importlib.util.LazyLoader(spec.loader)\n"
        f"module = sys.modules['{HOST}'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "assert module.accessors == ['an_accessor']"
    )
    _python(code, site)


def test_watcher_is_put_in_place_once() -> None:
    code = (
        "import sys; from replicate_kit import _accessors\n"
        "before = list(sys.meta_path); _accessors.install(); assert sys.meta_path == before"
    )
    _python(code)


def test_import_takes_no_host_and_reads_no_entry_points() -> None:
    code = (
        "import replicate_kit, sys\n"
        "taken = {'pandas', 'numpy', 'polars', 'dask', 'importlib.metadata'} & set(sys.modules)\n"
        "assert not taken, taken"
    )
    _python(code)
