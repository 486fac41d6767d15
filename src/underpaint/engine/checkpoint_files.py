"""The files in which unfinished jobs are kept between their steps. Knows no tensors: the server removes them, too."""

import contextlib
import hashlib
import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path

CHECKPOINT_SUFFIX = ".checkpoint"


def checkpoint_name(owner: str, task_uuid: str, position: int) -> str:
    """The name of one picture of one task, the same at every attempt. Safe as that of a file, whatever the owner is."""
    told = "\0".join((owner, task_uuid, str(position)))
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def checkpoint_path(folder: Path, name: str) -> Path:
    """Where the checkpoint of that name is."""
    return folder / f"{name}{CHECKPOINT_SUFFIX}"


def checkpoints_bytes(folder: Path) -> int:
    """What all files of that folder take together, also what is half there. It changes while this counts."""
    total = 0
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat().st_size
    return total


def remove_checkpoints(folder: Path, names: Iterable[str]) -> None:
    """Remove those of that name that there are."""
    for name in names:
        with contextlib.suppress(OSError):
            checkpoint_path(folder, name).unlink()


def remove_stray_checkpoints(folder: Path, *, except_names: Collection[str], age_s: float) -> None:
    """Remove what nothing needs: files older than `age_s` of no job of those names, also those that are half there."""
    kept = {f"{name}{CHECKPOINT_SUFFIX}" for name in except_names}
    before_s = time.time() - age_s
    if not folder.is_dir():
        return
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):
            if entry.name not in kept and entry.stat().st_mtime < before_s:
                os.unlink(entry.path)
