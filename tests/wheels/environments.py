"""An empty environment: what is installed into it, and what runs in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ENTRY = "replicate-kit"

TEST = """
import replicate_kit

def test_fixture(replicate_mock):
    assert replicate_kit.run("demo/poet", {"prompt": "sea"})
    assert replicate_mock.simulator.created == 1
"""


class Failed(Exception):
    """Something did not work; `ran` is what did before."""

    def __init__(self, said: str, ran: list[str]) -> None:
        super().__init__(said)
        self.ran = ran


@dataclass
class Environment:
    """A virtual environment in `folder`, which finds the packages of this repository in `dist`."""

    folder: Path
    dist: Path
    with_pip: bool = False
    ran: list[str] = field(default_factory=list)

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self._scripts / ("python.exe" if os.name == "nt" else "python"))

    @property
    def _scripts(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def install(self, *requirements: str) -> None:
        """Make it, and install what is asked for: ours from `dist`, everything else from the configured index."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.with_pip:
            self._call(sys.executable, "-m", "venv", str(self.folder))
            installer = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            if "--group" in requirements:
                self._call(*installer, "--upgrade", "pip>=25.1")
            check = [self.python, "-m", "pip", "check"]
        else:
            uv = [sys.executable, "-m", "uv"]
            self._call(*uv, "venv", "--quiet", "--python", sys.executable, str(self.folder))
            installer = [*uv, "pip", "install", "--quiet", "--python", self.python]
            # uv would take a wheel of the same name and version that it has seen before.
            for wheel in self.dist.glob("*.whl"):
                installer += ["--refresh-package", wheel.name.partition("-")[0].replace("_", "-")]
            check = [*uv, "pip", "check", "--quiet", "--python", self.python]
        self._call(*installer, "--find-links", str(self.dist), *requirements)
        self._call(*check)
        self.ran.append("pip" if self.with_pip else "install")

    def check_origin(self) -> None:
        """See that what is installed came out of our files, and not from an index that has packages of these names."""
        self._call(self.python, "-I", str(HERE / "checks.py"), "origin", str(self.dist), cwd=self._empty())

    def run_checks(self, check: str, *arguments: str, separately: bool = False) -> None:
        """Run some of `checks.py` in an empty folder, on the mock."""
        options = ["--separately"] if separately else []
        command = [self.python, "-I", str(HERE / "checks.py"), check, *arguments, *options]
        said = self._call(*command, cwd=self._empty())
        self.ran.append(said.strip().splitlines()[-1])

    def run_command(self) -> None:
        """Run `replicate-kit` and `python -m replicate_kit`: the demo, or what says how to install the command line."""
        folder = self._empty()
        script = str(self._scripts / ENTRY)
        probe = [self.python, "-c", "import click, rich"]
        has_click = not subprocess.run(probe, capture_output=True, check=False).returncode
        for command in ([script], [self.python, "-m", "replicate_kit"]):
            if has_click:
                self._call(*command, "--help", cwd=folder)
                continue
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
            wanted = 'pip install "replicate-kit[cli]"'
            if done.returncode != 1 or wanted not in done.stderr or "Traceback" in done.stderr:
                raise Failed(f"{' '.join(command)}\n{done.stdout}{done.stderr}", self.ran)
        if not has_click:
            self.ran.append("no command, told so")
            return
        for _ in range(2):
            said = self._call(script, "demo", "--fast", cwd=folder)
        if not list((folder / "replicate-kit-demo" / "pictures").glob("*.png")) or "index.html" not in said:
            raise Failed(f"the demo has written too little:\n{said}", self.ran)
        self.ran.append("demo twice")

    def run_pytest(self) -> None:
        """Run a test that uses the fixtures of the package."""
        folder = self._empty()
        (folder / "test_it.py").write_text(TEST, "utf-8")
        self.execute("fixtures", self.python, "-m", "pytest", "-q", "-W", "error", cwd=folder)

    def execute(self, name: str, *command: str, cwd: Path) -> None:
        """Run a program; name it in the table."""
        self._call(*command, cwd=cwd)
        self.ran.append(name)

    def _empty(self) -> Path:
        """An empty folder to run something in."""
        folder = self.folder.with_name(f"{self.folder.name}-work")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _call(self, *command: str, cwd: Path | None = None) -> str:
        """Run a program without the user's settings; give what it printed."""
        own = ("REPLICATE", "PYTHON", "VIRTUAL_ENV")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        inside = {"REPLICATE_KIT_BACKEND": "mock"} if cwd is not None and "-m" not in command[1:2] else {}
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=cwd,
            check=False,
            env={**clean, **inside},
            timeout=1800,
        )
        if done.returncode:
            raise Failed(f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}", self.ran)
        return done.stdout
