"""Builds wheels and sdists, and looks into them: everything that belongs to a package has to be there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from environments import Failed

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "replicate-kit": ROOT,
    **{path.parent.name: path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))},
}
TEST_TOOLS = ["click", "hypothesis", "opentelemetry-sdk", "pillow", "pyarrow", "pytest", "rich", "trio"]
"""What the tests of the plugins stand on; with the extra `server` of the core."""
TEST_TOOLS += ["replicate-kit[server,cli]"]


def build(dist: Path, installer: str) -> list[str]:
    """Build the sdist of each package, and its wheel from that; check what is in them and how indexes show them."""
    ran: list[str] = []
    shutil.rmtree(dist, ignore_errors=True)
    for folder in PACKAGES.values():
        _call(
            ran,
            "",
            sys.executable,
            "-m",
            "build",
            "--installer",
            installer,
            "--outdir",
            str(dist),
            str(folder),
        )
    ran.append("sdists, and wheels from them")
    _call(ran, "twine check", sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.glob("*.*")))
    for name, folder in PACKAGES.items():
        _check_contents(ran, dist, name, folder)
    ran.append("contents")
    return ran


def unpack(dist: Path, package: str, where: Path) -> Path:
    """Unpack the sdist of a package; give its folder."""
    (archive,) = dist.glob(f"{package.replace('-', '_')}-[0-9]*.tar.gz")
    folder = where / archive.name.removesuffix(".tar.gz")
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as packed:
        packed.extractall(where, filter="data")
    return folder


def _check_contents(ran: list[str], dist: Path, package: str, folder: Path) -> None:
    """See that no file of the sources is missing in the wheel or the sdist, nor the licence, nor the README."""
    module = package.replace("-", "_")
    source = folder / "src"
    wanted = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    (wheel,) = dist.glob(f"{module}-[0-9]*.whl")
    (sdist,) = dist.glob(f"{module}-[0-9]*.tar.gz")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    with tarfile.open(sdist) as packed_source:
        files = {name.partition("/")[2] for name in packed_source.getnames()}
    missing = [f"{each} in the wheel" for each in wanted - names]
    missing += [f"{each} in the sdist" for each in {f"src/{each}" for each in wanted} - files]
    missing += [f"{each} in the sdist" for each in {"LICENSE", "README.md", "pyproject.toml"} - files]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        missing.append("LICENSE in the wheel")
    if f"{module}/py.typed" not in names or not any(each.startswith("tests/") for each in files):
        missing.append("py.typed or tests")
    if missing:
        raise Failed(f"{package} lacks {', '.join(sorted(missing))}", ran)


def _call(ran: list[str], name: str, *command: str) -> None:
    """Run a program of the build."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}", ran)
    if name:
        ran.append(name)
