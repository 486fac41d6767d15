"""Unfinished jobs, kept between their steps, so that one that a crash interrupts goes on from where it was.

The engine copies a job's state, a few hundred kilobytes, and a thread of its own writes it: a forward pass never waits
for the disk. A checkpoint that is damaged, or that is of another request, model, device or version, is no checkpoint:
the job begins at its beginning.
"""

import dataclasses
import hashlib
import logging
import threading
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from underpaint.diffusion.plain_state import DamagedState, PlainState
from underpaint.engine.checkpoint_files import checkpoint_path
from underpaint.engine.messages import EngineOptions, JobRequest
from underpaint.engine.stamps import stamps
from underpaint.files import replace_file
from underpaint.version import __version__

log = logging.getLogger(__name__)

FORMAT = 3
_NO_PART_OF_THE_PICTURE = ("job_id", "owner", "previews", "checkpoint", "safety_check")
"""Fields of a request that may differ between the attempts at one picture."""
CLOSE_LIMIT_S = 5.0
"""How long the last checkpoints may take on their way to the disk."""


class Checkpoints:
    """The checkpoints of one engine. Not thread-safe: it belongs to the engine's thread."""

    def __init__(self, options: EngineOptions, device: torch.device, dtype: torch.dtype) -> None:
        """Begin without writing anything.

        Args:
            options: `checkpoints` is the folder, None for no checkpoints at all.
            device: of the engine.
            dtype: of its models.
        """
        self._folder = options.checkpoints
        # A picture that is begun under these must be finished under them to be the same.
        self._surroundings = (
            FORMAT,
            __version__,
            torch.__version__,
            version("diffusers"),
            device.type,
            dtype,
            options.strict_rows,
        )
        self._prints: dict[str, str] = {}
        self._writer: _Writer | None = None

    def read(self, request: JobRequest) -> Any:
        """The state in which a job was left, None where there is none to go on from."""
        if self._folder is None or request.checkpoint is None:
            return None
        try:
            data = checkpoint_path(self._folder, request.checkpoint).read_bytes()
        except OSError:
            return None
        try:
            told, state = PlainState.from_bytes(data).value()
        except (DamagedState, TypeError, ValueError) as damage:
            log.warning("a checkpoint is damaged and not used: %s", damage)
            return None
        if told != self._fingerprint(request):
            log.info("a checkpoint of another request or version is not used")
            return None
        return state

    def keep(self, request: JobRequest, state: object) -> None:
        """Note in which state a job is. The latest counts; it is on its way to the disk when this returns."""
        if self._folder is None or request.checkpoint is None:
            return
        if self._writer is None:
            self._writer = _Writer(self._folder)
        self._writer.put(request.checkpoint, PlainState.of((self._fingerprint(request), state)))

    def forget(self, request: JobRequest) -> None:
        """Write nothing more of a job. What is written stays: its task may not be over."""
        if request.checkpoint is not None:
            self._prints.pop(request.checkpoint, None)
            if self._writer is not None:
                self._writer.drop(request.checkpoint)

    def close(self) -> None:
        """Wait until the disk has what was noted."""
        if self._writer is not None:
            self._writer.close()

    def _fingerprint(self, request: JobRequest) -> str:
        """Of everything that the picture depends on."""
        assert request.checkpoint is not None
        if request.checkpoint not in self._prints:
            digest = hashlib.blake2b(digest_size=32)
            fields = {field.name for field in dataclasses.fields(request)} - set(_NO_PART_OF_THE_PICTURE)
            for name in sorted(fields):
                _tell(digest, name)
                _tell(digest, getattr(request, name))
            for each in self._surroundings:
                _tell(digest, str(each))
            self._prints[request.checkpoint] = digest.hexdigest()
        return self._prints[request.checkpoint]


class _Writer:
    """A thread that writes the latest state of each job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed = threading.Condition()
        self._due: dict[str, PlainState] = {}
        self._closing = False
        self._writing: str | None = None
        self._complained = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="checkpoints")
        self._thread.start()

    def put(self, name: str, state: PlainState) -> None:
        with self._changed:
            self._due[name] = state
            self._changed.notify_all()

    def drop(self, name: str) -> None:
        with self._changed:
            self._due.pop(name, None)
            # One that is just being written must not appear after whoever is told of the job's end has removed it.
            self._changed.wait_for(lambda: self._writing != name, timeout=CLOSE_LIMIT_S)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_LIMIT_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = None
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._due or self._closing)
                if not self._due:
                    return
                self._writing = name = next(iter(self._due))
                state = self._due.pop(name)
            self._write(name, state)

    def _write(self, name: str, state: PlainState) -> None:
        try:
            # A power cut may take it: then the job begins at its beginning.
            replace_file(checkpoint_path(self._folder, name), state.to_bytes(), flush=False, mode=0o600)
        except Exception as failure:
            if not self._complained:
                log.warning("checkpoints cannot be written: %s", failure)
            self._complained = True
        else:
            self._complained = False


def _tell(digest: "hashlib.blake2b", value: object) -> None:
    """Add a value to a digest, so that different ones give different digests."""
    if isinstance(value, np.ndarray):
        told = f"{value.dtype} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Path):
        # Not the bytes of a model, which take seconds to read, but what changes with them.
        told = "\n".join([str(value), *stamps(value)]).encode("utf-8", "surrogateescape")
    elif dataclasses.is_dataclass(value):
        digest.update(type(value).__name__.encode())
        for field in dataclasses.fields(value):
            _tell(digest, getattr(value, field.name))
        told = b""
    elif isinstance(value, Mapping):
        _tell(digest, sorted(value.items()))
        told = b""
    elif isinstance(value, tuple | list):
        digest.update(f"{len(value)} items".encode())
        for each in value:
            _tell(digest, each)
        told = b""
    elif value is None or isinstance(value, bool | int | float | str):
        told = f"{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass")
    else:
        raise TypeError(f"a {type(value).__name__} in a request cannot be told from another")
    digest.update(len(told).to_bytes(8, "little") + told)
