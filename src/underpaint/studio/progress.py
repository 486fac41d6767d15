"""Telling a caller how far a task is.

One reporter for each task that is watched: it waits for a change, says what is the case then, and waits again. What
happens while its last words are still on their way is said with the next ones or not at all, so a slow client costs
nothing but its own news.
"""

import asyncio
import base64
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from PIL import Image

from underpaint.blocking import in_thread
from underpaint.engine.messages import Picture, Progress
from underpaint.images import encode_image
from underpaint.studio.caller import Item
from underpaint.studio.outlook import Outlook
from underpaint.studio.run import Run
from underpaint.wire import PictureProgress

REPORT_INTERVAL_S = 0.1
"""Shortest time between two reports of one task. A task that is done sooner is never reported."""
QUEUED_INTERVAL_S = 1.0
"""Longest time until a queued task says whether its position or its wait has changed: no event tells of that."""
PREVIEW_QUALITY = 80

OnProgress = Callable[[Sequence[Item]], Awaitable[None]]
"""Takes what is new: an item for each picture of the task that has moved on since the last call."""

log = logging.getLogger(__name__)


class Reporter:
    """Reports one task, until the engine is done with it."""

    def __init__(self, run: Run, outlook: Outlook, on_progress: OnProgress) -> None:
        self._run = run
        self._outlook = outlook
        self._on_progress = on_progress
        self._said: dict[str, Item] = {}
        self._shown: dict[str, Picture] = {}

    async def report(self) -> None:
        """Report until there is nothing more to say."""
        try:
            while True:
                await asyncio.sleep(REPORT_INTERVAL_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._run.moved.wait(), QUEUED_INTERVAL_S)
                self._run.moved.clear()
                items = () if self._run.over else await self._news()
                # Asked after the news was gathered: from here on the result may leave at any time, and nothing of
                # this may follow it.
                if self._run.over:
                    return
                if items:
                    await self._on_progress(items)
        except Exception:
            log.exception("progress of task %s cannot be reported", self._run.record.task_uuid)

    async def _news(self) -> tuple[Item, ...]:
        previews = await self._new_previews()
        news = []
        for index, job in self._run.unfinished:
            item = self._state(index, job.job_id, self._run.progress.get(job.job_id)).item()
            preview = previews.get(job.job_id)
            if item != self._said.get(job.job_id) or preview is not None:
                self._said[job.job_id] = item
                news.append(item if preview is None else {**item, "previewDataURI": preview})
        return tuple(news)

    def _state(self, index: int, job_id: str, progress: Progress | None) -> PictureProgress:
        return PictureProgress(
            task_uuid=self._run.record.task_uuid,
            task_type=self._run.record.task_type,
            result_index=index,
            status="queued" if progress is None else progress.stage,
            step=progress.step if progress else None,
            steps=progress.steps if progress else None,
            position=None if progress else self._outlook.position(job_id),
            seconds_left=self._outlook.seconds_left(job_id),
        )

    async def _new_previews(self) -> dict[str, str]:
        """By job, the previews that were not shown yet."""
        previews = {}
        for _, job in self._run.unfinished:
            progress = self._run.progress.get(job.job_id)
            if (
                progress is None
                or progress.preview is None
                or progress.preview is self._shown.get(job.job_id)
            ):
                continue
            self._shown[job.job_id] = progress.preview
            previews[job.job_id] = await in_thread(_data_uri, progress.preview)
        return previews


def _data_uri(preview: Picture) -> str:
    data = encode_image(Image.fromarray(preview), format="JPG", quality=PREVIEW_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"
