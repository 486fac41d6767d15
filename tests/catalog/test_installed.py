import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from underpaint.catalog import ModelDefaults, ModelEntry, ModelFiles, ModelListUnreadable, ModelRefused
from underpaint.catalog.installed import InstalledModels

WRITER = """
import sys
from pathlib import Path
from underpaint.catalog import ModelEntry
from underpaint.catalog.installed import InstalledModels
models = InstalledModels(Path(sys.argv[1]))
for number in range(10):
    models.add(ModelEntry(air=f"test:{sys.argv[2]}@{number}", name="", version="", architecture="sd1x"))
"""


def entry(air: str = "test:1@1", name: str = "A model") -> ModelEntry:
    return ModelEntry(air=air, name=name, version="1", architecture="sd1x")


def test_nothing_is_installed_at_first(tmp_path: Path) -> None:
    assert InstalledModels(tmp_path / "new").entries() == {}
    assert not (tmp_path / "new").exists()


def test_an_entry_comes_back_as_it_was_added(tmp_path: Path) -> None:
    full = ModelEntry(
        air="civitai:1@2",
        name="Größe",
        version="2",
        architecture="sdxl",
        category="controlnet",
        type="base",
        files=ModelFiles(form="hub", location="someone/something", revision="abc"),
        defaults=ModelDefaults(
            width_px=1024, steps=30, guidance_scale=4.5, scheduler="Euler a", strength=0.5
        ),
        tags=("a", "b"),
        comment="c",
        private=True,
        conditioning="canny",
        hub_id="someone/something",
        license="MIT",
        good_for="d",
    )
    InstalledModels(tmp_path).add(full)
    assert InstalledModels(tmp_path).entries() == {"civitai:1@2": full}


def test_what_another_process_adds_or_removes_is_seen_without_a_restart(tmp_path: Path) -> None:
    server, command_line = InstalledModels(tmp_path), InstalledModels(tmp_path)
    assert set(server.entries()) == set()
    command_line.add(entry("test:1@1"))
    assert set(server.entries()) == {"test:1@1"}
    command_line.add(entry("test:2@1"))
    assert set(server.entries()) == {"test:1@1", "test:2@1"}
    command_line.remove("test:1@1")
    assert set(server.entries()) == {"test:2@1"}


def test_an_unchanged_list_is_not_read_again(tmp_path: Path) -> None:
    models = InstalledModels(tmp_path)
    models.add(entry())
    assert models.entries() is models.entries()


def test_a_second_model_of_one_identifier_is_refused_unless_it_is_to_replace_the_first(
    tmp_path: Path,
) -> None:
    models = InstalledModels(tmp_path)
    models.add(entry(name="first"))
    with pytest.raises(ModelRefused, match="installed already"):
        models.add(entry(name="second"))
    assert models.entries()["test:1@1"].name == "first"
    models.add(entry(name="second"), replace=True)
    assert models.entries()["test:1@1"].name == "second"


def test_removing_returns_the_entry_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    models = InstalledModels(tmp_path)
    models.add(entry())
    assert models.remove("test:1@1") == entry()
    with pytest.raises(ModelRefused, match="not on the list"):
        models.remove("test:1@1")


def test_no_addition_of_concurrent_writers_is_lost(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), f"process{number}"])
        for number in range(2)
    ]
    models = InstalledModels(tmp_path)

    def add_ten(thread: int) -> None:
        for number in range(10):
            models.add(entry(f"test:thread{thread}@{number}"))

    threads = [threading.Thread(target=add_ten, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(process.poll() is None for process in processes):
        models.entries()  # Raises if it ever sees half of a list.
    for thread in threads:
        thread.join()
    assert [process.returncode for process in processes] == [0, 0]
    assert len(InstalledModels(tmp_path).entries()) == 50
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"format": 2, "models": []}',
        b'{"models": [{"air": "test:1@1"}]}',
        b'{"models": [], "unheard of": 1}',
        json.dumps(
            {
                "models": [
                    {
                        "air": "a:1@1",
                        "name": "",
                        "version": "",
                        "architecture": "sd1x",
                        "defaults": {"steps": 0},
                    },
                ]
            }
        ).encode(),
    ],
)
def test_a_damaged_list_is_an_error_and_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "models.json").write_bytes(content)
    models = InstalledModels(tmp_path)
    with pytest.raises(ModelListUnreadable):
        models.entries()
    with pytest.raises(ModelListUnreadable):
        models.add(entry())
    assert (tmp_path / "models.json").read_bytes() == content


def test_a_list_that_was_repaired_is_read_again(tmp_path: Path) -> None:
    models = InstalledModels(tmp_path)
    (tmp_path / "models.json").write_text("{")
    with pytest.raises(ModelListUnreadable):
        models.entries()
    (tmp_path / "models.json").write_text('{"models": []}')
    assert models.entries() == {}


def test_a_list_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(ModelRefused, match="cannot be written"):
        InstalledModels(tmp_path / "data").add(entry())


def test_a_write_that_fails_leaves_the_list_and_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = InstalledModels(tmp_path)
    models.add(entry())

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ModelRefused, match="No space left"):
        models.add(entry("test:2@1"))
    assert set(models.entries()) == {"test:1@1"}
    assert {path.name for path in tmp_path.iterdir()} <= {"models.json", "models.lock"}


def test_it_is_written_down_when_a_model_came_and_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, clock = InstalledModels(tmp_path), iter([100.0, 200.0])
    monkeypatch.setattr("underpaint.catalog.installed.time.time", lambda: next(clock))
    models.add(entry())
    models.add(entry(), replace=True)
    kept = InstalledModels(tmp_path).entries()["test:1@1"]
    assert (kept.added_s, kept.updated_s) == (100.0, 200.0)
