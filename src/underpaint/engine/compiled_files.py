"""What OpenVINO has made of models, kept on the disk for the next start: as many bytes as there may be."""

import contextlib
import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from shutil import rmtree

from underpaint.diffusion.openvino_unet import FORMAT
from underpaint.engine.messages import ModelReference, Precision
from underpaint.engine.stamps import stamps
from underpaint.version import __version__

SUFFIX = ".openvino"


class CompiledFiles:
    """The files of one folder."""

    def __init__(self, folder: Path | None, *, budget_bytes: int, processor: str) -> None:
        """Lay it out; nothing is written yet.

        Args:
            folder: where they go; None for one that goes with this object.
            budget_bytes: of all of them; the latest one stays, however large.
            processor: on which they run.
        """
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="underpaint-compiled-"))
            weakref.finalize(self, rmtree, folder, ignore_errors=True)
        self.folder = folder
        self._budget_bytes = budget_bytes
        self._processor = processor

    def path(self, reference: ModelReference, precision: Precision) -> Path:
        """Where the compiled form of a model is, or goes.

        Args:
            reference: the model; other files have another path.
            precision: in which it was to compute. What it computes in may be more.
        """
        told = (
            *(
                FORMAT,
                __version__,
                version("openvino"),
                version("torch"),
                version("diffusers"),
                self._processor,
            ),
            *(reference.architecture, reference.location.resolve(), reference.config, precision),
            *stamps(reference.location),
        )
        digest = hashlib.blake2b("\0".join(map(str, told)).encode("utf-8", "surrogateescape"), digest_size=16)
        return self.folder / f"{digest.hexdigest()}{SUFFIX}"

    def touch(self, path: Path) -> None:
        """Note that it was used just now."""
        with contextlib.suppress(OSError):
            os.utime(path)

    def trim(self, latest: Path) -> None:
        """Remove what was not used for longest until the rest is within the budget."""
        kept = 0
        for file, size in self._latest_first(latest):
            kept += size
            if file != latest and kept > self._budget_bytes:
                with contextlib.suppress(OSError):
                    file.unlink()

    def _latest_first(self, latest: Path) -> Iterator[tuple[Path, int]]:
        found = []
        # Those that are half written, too, which a compiler left that was killed; another may still be at one.
        for file in self.folder.glob(f"*{SUFFIX}*"):
            with contextlib.suppress(OSError):
                stat = file.stat()
                found.append((file == latest, stat.st_mtime, file, stat.st_size))
        for _, _, file, size in sorted(found, reverse=True):
            yield file, size
