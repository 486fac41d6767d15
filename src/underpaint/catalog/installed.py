"""The list of installed models: one JSON file in the data folder, shared by command line and server."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from underpaint.catalog.entry import ModelEntry
from underpaint.catalog.errors import ModelListUnreadable, ModelRefused
from underpaint.files import replace_file

LOCK_TIMEOUT_S = 10.0
LOCK_POLL_S = 0.01
MAX_LIST_BYTES = 64 * 2**20


class _ModelList(BaseModel):
    """The file's form."""

    model_config = ConfigDict(extra="forbid")

    format: int = 1
    models: tuple[ModelEntry, ...] = ()


class InstalledModels:
    """The models that somebody added, by identifier.

    Several processes may use one file: changes are made under a lock and replace the file as a whole, so that
    a reader sees the list before or after a change and never half of one; readers notice a change by the
    file's identity, size and time. A file that cannot be understood is an error, and is never overwritten.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "models.json"
        self._read_state: tuple[int, int, int] | None = None
        self._read_entries: Mapping[str, ModelEntry] = {}

    def entries(self) -> Mapping[str, ModelEntry]:
        """The installed models by short identifier, as of now.

        Raises:
            ModelListUnreadable: the file is damaged or of a later version of Underpaint.
        """
        try:
            status = self._path.stat()
            state = (status.st_ino, status.st_size, status.st_mtime_ns)
            if state != self._read_state:
                self._read_entries = _parse(self._path.read_bytes(), status.st_size)
                self._read_state = state
        except FileNotFoundError:
            return {}
        except OSError:
            raise ModelListUnreadable("the list of installed models cannot be read") from None
        return self._read_entries

    def add(self, entry: ModelEntry, *, replace: bool = False) -> None:
        """Put a model on the list.

        Raises:
            ModelRefused: there is one of this identifier and `replace` is false, or the list cannot be
                written.
            ModelListUnreadable: see `entries`.
        """

        def added(entries: dict[str, ModelEntry]) -> None:
            if entry.air in entries and not replace:
                raise ModelRefused(f"{entry.air} is installed already; remove it first, or replace it")
            now_s, former = time.time(), entries.get(entry.air)
            added_s = former.added_s if former is not None else now_s
            entries[entry.air] = dataclasses.replace(entry, added_s=added_s, updated_s=now_s)

        self._change(added)

    def remove(self, air: str) -> ModelEntry:
        """Take a model off the list and return it. Its files stay where they are.

        Raises:
            ModelRefused: no model of this identifier is on the list, or the list cannot be written.
            ModelListUnreadable: see `entries`.
        """
        removed: list[ModelEntry] = []

        def without(entries: dict[str, ModelEntry]) -> None:
            if air not in entries:
                raise ModelRefused(f"{air} is not on the list of installed models")
            removed.append(entries.pop(air))

        self._change(without)
        return removed[0]

    def _change(self, change: Callable[[dict[str, ModelEntry]], None]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S, poll_interval=LOCK_POLL_S):
                entries = dict(self.entries())
                change(entries)
                replace_file(self._path, _serialized(entries), mode=0o600)
        except Timeout:
            raise ModelRefused("another process holds the list of installed models; try again") from None
        except OSError as failure:
            raise ModelRefused(f"the list of installed models cannot be written: {failure}") from None


def _parse(content: bytes, size_bytes: int) -> Mapping[str, ModelEntry]:
    if size_bytes > MAX_LIST_BYTES:
        raise ModelListUnreadable("the list of installed models is too large")
    try:
        listed = _ModelList.model_validate_json(content)
    except ValidationError as failure:
        first = failure.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "models.json"
        raise ModelListUnreadable(
            f"the list of installed models is damaged ({place}: {first['msg']})"
        ) from None
    if listed.format != 1:
        raise ModelListUnreadable(
            f"the list of installed models has format {listed.format}; this version reads 1"
        )
    return {entry.air: entry for entry in listed.models}


def _serialized(entries: Mapping[str, ModelEntry]) -> bytes:
    models = tuple(entry for _, entry in sorted(entries.items()))
    return _ModelList(models=models).model_dump_json(indent=2).encode() + b"\n"
