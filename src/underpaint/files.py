"""Files that are there as a whole or not at all."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def replace_file(
    path: Path, content: bytes | Iterable[bytes | memoryview], *, flush: bool = True, mode: int = 0o666
) -> None:
    """Write a file under a temporary name and rename it: after a crash there is the old one, or none, or the new one.

    Args:
        path: where it goes; its folder is made where there is none.
        content: all of it, at once or in parts.
        flush: whether it is on the disk when this returns, name and bytes, and its bytes before its name. Without, it
            survives the end of this process, but perhaps not a power cut.
        mode: permissions of a new file, of which the process's umask is taken off.

    Raises:
        OSError: it cannot be written. What was there is as it was.
    """
    # Ends in what no reader looks for, and begins with the name, by which the store's sweeper finds the folder.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        descriptor = _create(temporary, mode)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _create(temporary, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines((content,) if isinstance(content, bytes) else content)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if flush:
        flush_names(path.parent)


def _create(path: Path, mode: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)


def flush_names(folder: Path) -> None:
    """A new name is only durable once the folder that holds it is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as failure:
        # Some network file systems flush no folders, and need not.
        if failure.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
