"""How much of the disk pictures and checkpoints may fill, judged before there is any work for them."""

import errno
import shutil
import time

from sqlalchemy.exc import DBAPIError

from underpaint.blocking import in_thread
from underpaint.engine.checkpoint_files import checkpoints_bytes
from underpaint.settings import Settings
from underpaint.studio.options import CHECKPOINTS
from underpaint.studio.pictures import Pictures
from underpaint.wire import TaskError

BYTES_PER_PIXEL = 3
"""What a result is taken to need before it is there: as much as without compression."""


AMPLE_BYTES = 2**30
"""With so much more than is needed, the disk is not asked again for `AMPLE_S`: that changes threads."""
AMPLE_S = 1.0


class DiskBudget:
    """Refuses what would not fit, so that no accepted task ends with a disk that is full.

    Args:
        settings: `disk_budget_bytes` and `disk_reserve_bytes`.
        pictures: what is stored; the checkpoints beside them count, too.
    """

    def __init__(self, settings: Settings, pictures: Pictures) -> None:
        self._folder = settings.data_dir
        self._budget_bytes = settings.disk_budget_bytes
        self._reserve_bytes = settings.disk_reserve_bytes
        self._pictures = pictures
        self._ample_until_s = 0.0
        self._ample_bytes = 0

    async def check(self, wanted_bytes: int) -> None:
        """Refuse what needs `wanted_bytes` more, if they are not there.

        Raises:
            TaskError: `storageQuotaExceeded`.
        """
        if self._budget_bytes is not None:
            used_bytes = await self._used_bytes()
            if used_bytes + wanted_bytes > self._budget_bytes:
                raise _full(
                    f"{used_bytes} of the {self._budget_bytes} bytes that pictures may fill are taken, and "
                    f"{wanted_bytes} more may be needed"
                )
        if time.monotonic() < self._ample_until_s and wanted_bytes <= self._ample_bytes:
            return
        free_bytes = (await in_thread(shutil.disk_usage, self._folder)).free
        if free_bytes - wanted_bytes < self._reserve_bytes:
            raise _full(f"the disk has {free_bytes} bytes left, of which {self._reserve_bytes} stay free")
        self._ample_bytes = free_bytes - self._reserve_bytes - AMPLE_BYTES
        self._ample_until_s = time.monotonic() + AMPLE_S

    async def _used_bytes(self) -> int:
        # The engine writes checkpoints: they are counted where they are. There are few, of pictures in progress only.
        checkpoints = await in_thread(checkpoints_bytes, self._folder / CHECKPOINTS)
        return checkpoints + await self._pictures.used_bytes()


def is_full(failure: Exception) -> bool:
    """Whether something failed because the disk is full."""
    if isinstance(failure, OSError):
        return failure.errno in (errno.ENOSPC, errno.EDQUOT)
    # SQLite says it in words only.
    return isinstance(failure, DBAPIError) and "disk is full" in str(failure.orig)


def unforeseen(failure: Exception) -> TaskError:
    """What a task is told of a failure that nobody foresaw, of which the log has the rest: a full disk is named."""
    if is_full(failure):
        return _full("the disk is full")
    return TaskError("internalServerError", "the server failed; its log says how")


def _full(reason: str) -> TaskError:
    return TaskError(
        "storageQuotaExceeded",
        f"there is no room for more pictures: {reason}; delete some with mediaStorage, or wait until some expire",
    )
