"""How much memory there is, how much is free, and how much work has taken: of the device that the engine runs on."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may have (cgroup v2)."""
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""Written to `clear_refs`: the peak of resident memory is counted from now on (proc(5))."""


def total_bytes(device: torch.device) -> int:
    """Memory of the device; on a CPU, what this process may have of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    total = int(psutil.virtual_memory().total)
    limit = _cgroup_bytes("memory.max")
    return total if limit is None else min(total, limit)


def free_bytes(device: torch.device) -> int:
    """Memory that can still be had without pushing anything out."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    free = int(psutil.virtual_memory().available)
    limit, used = _cgroup_bytes("memory.max"), _cgroup_bytes("memory.current")
    if limit is None or used is None:
        return free
    # The page cache counts as used there, and goes when memory is asked for.
    return min(free, limit - used + (_cgroup_stat("inactive_file") or 0))


class Peak:
    """Memory that was taken at the height of something, beyond what was taken before it."""

    bytes: int | None = None
    """None where the system does not say."""


@contextlib.contextmanager
def peak_of(device: torch.device) -> Iterator[Peak]:
    """Measure what the body of a `with` takes; known once it has ended without an exception."""
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        peak.bytes = int(torch.cuda.max_memory_allocated(device)) - before
        return
    resident = _resident_bytes("VmRSS") if _reset_peak() else None
    yield peak
    reached = _resident_bytes("VmHWM")
    if resident is not None and reached is not None:
        peak.bytes = max(0, reached - resident)


def release_memory(device: torch.device) -> None:
    """Give freed memory back to the system, or to others on the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if device.type == "mps":
        torch.mps.empty_cache()
    # glibc keeps it otherwise: without this, a process that swaps models grows with every swap.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def readable(size_bytes: int) -> str:
    """For people: "3.2 GiB"."""
    if size_bytes < 2**30:
        return f"{size_bytes / 2**20:.0f} MiB"
    return f"{size_bytes / 2**30:.1f} GiB"


def _reset_peak() -> bool:
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _resident_bytes(field: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return None


def _cgroup_bytes(name: str) -> int | None:
    """A number that the container's group of processes has; None without a group, or for "max"."""
    with contextlib.suppress(OSError, ValueError):
        return int((CGROUP / name).read_text())
    return None


def _cgroup_stat(name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in (CGROUP / "memory.stat").read_text().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return None
