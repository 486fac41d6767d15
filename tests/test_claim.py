"""One server for one data folder. The same for a PostgreSQL database is in `tests/postgres`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from underpaint.claim import AlreadyServed, claim_folder
from underpaint.database import DatabaseUnusable

HOLDING = """
import sys, time
from pathlib import Path
from underpaint.claim import claim_folder
with claim_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_second_is_told_who_holds_it_and_has_it_when_the_first_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with (
        claim_folder(folder),
        pytest.raises(AlreadyServed, match=rf"process {os.getpid()}\) uses the data folder .*data"),
        claim_folder(folder),
    ):
        raise AssertionError("held twice")
    with claim_folder(folder):
        pass


def test_a_server_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    assert holder.stdout is not None
    with holder, holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyServed, match=f"process {holder.pid}"), claim_folder(tmp_path):
            raise AssertionError("held twice")
        holder.kill()
        holder.wait()
    with claim_folder(tmp_path):
        assert int((tmp_path / "server.lock").read_text()) == os.getpid()


def test_a_folder_that_cannot_be_written_to_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "server.lock").mkdir()
    with pytest.raises(DatabaseUnusable, match="cannot be used: Is a directory"), claim_folder(tmp_path):
        raise AssertionError("held nothing")
