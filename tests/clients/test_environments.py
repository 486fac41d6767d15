"""The environments of the clients are installed once, whole, and from exact pins."""

import json
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .environments import HERE, InstallationFailed, installed, run_installer


@pytest.fixture(autouse=True)
def clients_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps environments of these tests out of the real cache."""
    monkeypatch.setenv("OFFICIAL_CLIENTS_DIR", str(tmp_path))


@pytest.fixture
def installations() -> list[Path]:
    """The folders that were installed, in order."""
    return []


@pytest.fixture
def install(installations: list[Path]) -> Callable[[Path], None]:
    """An installation that makes the folder and notes it."""

    def note(folder: Path) -> None:
        folder.mkdir()
        installations.append(folder)

    return note


def test_installs_once(install: Callable[[Path], None], installations: list[Path]) -> None:
    first = installed("client", pins=[b"a==1"], install=install)
    second = installed("client", pins=[b"a==1"], install=install)

    assert installations == [first] == [second]


def test_changed_pins_make_another_environment(
    install: Callable[[Path], None], installations: list[Path]
) -> None:
    first = installed("client", pins=[b"a==1"], install=install)
    second = installed("client", pins=[b"a==2"], install=install)

    assert installations == [first, second]
    assert first != second


def test_an_installation_that_was_cut_short_is_done_again(
    install: Callable[[Path], None], installations: list[Path]
) -> None:
    def cut_short(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise InstallationFailed("the network went away")

    with pytest.raises(InstallationFailed):
        installed("client", pins=[b"a==1"], install=cut_short)
    folder = installed("client", pins=[b"a==1"], install=install)

    assert installations == [folder]
    assert not (folder / "half").exists()


def test_runs_side_by_side_do_not_install_twice(
    install: Callable[[Path], None], installations: list[Path]
) -> None:
    with ThreadPoolExecutor(8) as runs:
        folders = list(runs.map(lambda _: installed("client", pins=[b"a==1"], install=install), range(8)))

    assert len(installations) == len(set(folders)) == 1


def test_a_failed_installation_says_what_went_wrong() -> None:
    with pytest.raises(InstallationFailed, match="No module named there_is_no_such_module"):
        run_installer([sys.executable, "-m", "there_is_no_such_module"])


@pytest.mark.parametrize(
    "requirements", sorted(HERE.glob("python/*/requirements.txt")), ids=lambda file: file.parent.name
)
def test_every_python_package_is_pinned(requirements: Path) -> None:
    lines = [
        line for line in requirements.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]

    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_every_npm_package_is_pinned_and_names_no_private_registry() -> None:
    project = json.loads((HERE / "node" / "package.json").read_text(encoding="utf-8"))
    packages = json.loads((HERE / "node" / "package-lock.json").read_text(encoding="utf-8"))["packages"]

    assert [pin for pin in project["dependencies"].values() if not re.fullmatch(r"\d+\.\d+\.\d+", pin)] == []
    for place, package in packages.items():
        if place:
            assert package["integrity"].startswith("sha512-"), place
            assert package.get("resolved", "https://registry.npmjs.org/").startswith(
                "https://registry.npmjs.org/"
            )
