"""Checks of the machine and the installation, for `underpaint doctor`.

Each check looks at what a server or a transform is about to use, and says what to do where something is wrong.
"""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from sqlalchemy import func, select, text

from underpaint.settings import Settings
from underpaint.version import __version__

State = Literal["ok", "note", "problem"]

LOW_DISK_BYTES = 2 * 2**30
LOW_MEMORY_BYTES = 2 * 2**30


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found."""

    name: str
    state: State
    """ "note" is worth knowing and keeps nothing from working; "problem" does."""
    detail: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Run every check, in an order in which a later one may rest on an earlier one.

    Nothing is downloaded and no other machine is contacted. The data folder is created where it is missing, as a server
    would.
    """
    checks: tuple[tuple[str, Callable[[Settings], Iterator[tuple[State, str]]]], ...] = (
        ("versions", _versions),
        ("device", _device),
        ("memory", _memory),
        ("data", _data),
        ("database", _database),
        ("models", _models),
        ("access", _access),
    )
    for name, check in checks:
        try:
            for state, detail in check(settings):
                yield Finding(name=name, state=state, detail=detail)
        # A check that fails is itself a finding, whatever the reason: the others still have something to say.
        except Exception as failure:
            yield Finding(name=name, state="problem", detail=f"{type(failure).__name__}: {failure}")


def _versions(settings: Settings) -> Iterator[tuple[State, str]]:
    packages = ("torch", "diffusers", "transformers", "pillow")
    found = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    machine = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "ok", f"underpaint {__version__}, {found}, {machine}"


def _device(settings: Settings) -> Iterator[tuple[State, str]]:
    import torch

    from underpaint.engine.device import choose_device, choose_dtype

    device = choose_device(settings.device)
    dtype = str(choose_dtype(settings.dtype, device)).removeprefix("torch.")
    # One small product on the device: a driver that does not fit the build fails here and not in the first task.
    product = torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)
    if float(product.sum()) != 512:
        yield "problem", f"{device.type} computes wrong results"
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        yield "ok", f"{properties.name}, {_gib(properties.total_memory)} of memory, {dtype}"
        return
    threads = settings.threads or os.cpu_count() or 1
    yield "ok", f"{device.type}, {threads} thread{'s' if threads > 1 else ''}, {dtype}"
    if device.type == "cpu":
        if shutil.which("nvidia-smi"):
            yield (
                "note",
                "there is an NVIDIA driver, but this build of torch sees no GPU: is it a build without CUDA?",
            )
        else:
            yield (
                "note",
                "no GPU: the embedded model takes about a second a picture, Stable Diffusion minutes",
            )


def _memory(settings: Settings) -> Iterator[tuple[State, str]]:
    import psutil

    memory = psutil.virtual_memory()
    state: State = "ok" if memory.available >= LOW_MEMORY_BYTES else "note"
    yield state, f"{_gib(memory.available)} free of {_gib(memory.total)}"


def _data(settings: Settings) -> Iterator[tuple[State, str]]:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.data_dir) as trial:
        trial.write(b"trial")
    free = shutil.disk_usage(settings.data_dir).free
    state: State = "ok" if free >= LOW_DISK_BYTES else "note"
    yield state, f"{settings.data_dir} is writable, {_gib(free)} free"


def _database(settings: Settings) -> Iterator[tuple[State, str]]:
    from underpaint.database import images, open_database, tasks

    database = open_database(settings.data_dir, settings.database_url)
    try:
        with database.connect() as connection:
            verdict = "ok"
            if connection.dialect.name == "sqlite":
                verdict = connection.execute(text("PRAGMA quick_check")).scalar_one()
            if verdict != "ok":
                yield "problem", f"the database is damaged: {verdict}"
                return
            task_count = connection.execute(select(func.count()).select_from(tasks)).scalar_one()
            image_count = connection.execute(select(func.count()).select_from(images)).scalar_one()
    finally:
        database.dispose()
    yield "ok", f"{task_count} tasks and {image_count} images"


def _models(settings: Settings) -> Iterator[tuple[State, str]]:
    from underpaint.catalog import Catalog, CatalogError
    from underpaint.studio.requests import RUNNABLE_ARCHITECTURES

    catalog = Catalog(settings, runnable=RUNNABLE_ARCHITECTURES)
    entries = catalog.list()
    problems = [(entry, problem) for entry in entries if (problem := catalog.problem(entry)) is not None]
    usable = len(entries) - len(problems)
    yield "ok", f"{usable} model{'s' if usable != 1 else ''} can be used"
    for entry, problem in problems:
        yield "note", f"{entry.air}: {problem}"
    try:
        catalog.resolve(settings.default_model)
    except CatalogError as failure:
        yield "problem", f"the default model cannot be used: {failure}"


def _access(settings: Settings) -> Iterator[tuple[State, str]]:
    from underpaint.database import open_database
    from underpaint.server.access import is_local
    from underpaint.server.keys import KeyRing

    database = open_database(settings.data_dir, settings.database_url)
    try:
        records = KeyRing(database).list()
    finally:
        database.dispose()
    now_s = time.time()
    valid = sum(
        record.revoked_s is None and (record.permissions.expires_s or float("inf")) > now_s
        for record in records
    )
    if valid:
        yield "ok", f"{valid} valid key{'s' if valid > 1 else ''}; one is required of every client"
    elif records:
        yield (
            "note",
            "all keys are revoked or have expired: a server refuses everybody until `underpaint keys add NAME`",
        )
    elif is_local(settings.host, settings.public_url):
        yield "ok", f"no key was made: a server on {settings.host} accepts any key, from this machine only"
    else:
        yield (
            "note",
            f"no key was made: a server on {settings.public_url or settings.host} refuses everybody until "
            "`underpaint keys add NAME`",
        )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"
