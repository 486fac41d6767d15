"""Huge pages: of what is there, where the machine has them, and of nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from underpaint.server import huge_pages
from underpaint.server.huge_pages import use_huge_pages

PROGRAM = """
import psutil, threading
from underpaint.server.huge_pages import use_huge_pages

def in_huge_pages():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:"))

# Many small objects, as a program has, and a thread whose stack is hardly used.
objects = [str(number) * 3 for number in range(400_000)]
wait = threading.Event()
threading.Thread(target=wait.wait, daemon=True).start()
before_bytes, process = in_huge_pages(), psutil.Process()
resident_bytes = process.memory_info().rss
moved_bytes = use_huge_pages()
assert objects == [str(number) * 3 for number in range(400_000)]
print(moved_bytes, in_huge_pages() - before_bytes, process.memory_info().rss / resident_bytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are asked for on Linux only")
def test_what_is_there_comes_into_huge_pages_and_takes_hardly_more() -> None:
    # A process of its own: what its memory looks like is known.
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    moved_bytes, more_bytes, growth = (float(word) for word in told.split())
    if not moved_bytes:
        pytest.skip("this kernel gives none")
    assert more_bytes >= 0.9 * moved_bytes
    assert growth < 1.1


def test_where_they_are_switched_off_they_stay_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tmp_path / "enabled"
    monkeypatch.setattr(huge_pages, "_SETTING", setting)
    assert use_huge_pages() == 0
    setting.write_text("always madvise [never]\n")
    assert use_huge_pages() == 0
