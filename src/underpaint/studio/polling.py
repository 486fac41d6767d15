"""getResponse and getTaskDetails: what became of a task."""

import asyncio
import contextlib
from dataclasses import replace

from underpaint.blocking import in_thread
from underpaint.studio.caller import Caller, Reply
from underpaint.studio.image_inference import ImageInference
from underpaint.studio.journal import Journal, TaskRecord
from underpaint.studio.pictures import Pictures
from underpaint.studio.replies import outcome_reply
from underpaint.wire import (
    GetResponseTask,
    GetTaskDetailsTask,
    ProcessingStatus,
    TaskDetailsResult,
    TaskError,
)


class Polling:
    """Answers questions about tasks, each owner's only to that owner."""

    def __init__(self, *, inference: ImageInference, journal: Journal, pictures: Pictures) -> None:
        self._inference = inference
        self._journal = journal
        self._pictures = pictures

    async def get_response(self, task: GetResponseTask, caller: Caller, *, hold_s: float) -> Reply:
        """Everything that a task has produced so far; for a running one also how far it is.

        A caller that lets itself be held is answered with all results or, when the time is over, with the progress
        alone: the Python WebSocket client counts a result that it gets at two polls twice.

        Args:
            task: names the task that is asked about.
            caller: must be its owner.
            hold_s: how long to wait for the end of a task that is running.

        Raises:
            TaskError: the caller has no such task.
        """
        run = self._inference.work.find(caller.owner, task.task_uuid)
        if run is not None and hold_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(run.finished.wait(), hold_s)
        # The run first: seen the other way round, a task that ends in between would be neither running nor done.
        run = self._inference.work.find(caller.owner, task.task_uuid)
        record = await self._find(caller.owner, task.task_uuid)
        if run is not None and run.error is not None and record.status == "accepted":
            item = run.error.item(task_uuid=record.task_uuid, task_type=record.task_type)
            record = replace(record, status="error", error=item, error_status=run.error.status_code)
        if record.status != "accepted":
            return await outcome_reply(record, self._pictures, status="success")
        so_far = () if hold_s > 0 else (await outcome_reply(record, self._pictures, status="success")).data
        processing = ProcessingStatus(
            task_type=record.task_type,
            task_uuid=record.task_uuid,
            # One that nothing works on goes on when the server, which is stopping, is there again.
            progress=0 if run is None else run.percent,
            seconds_left=None if run is None else self._inference.work.outlook.task_seconds_left(run),
        )
        return Reply(data=(*so_far, processing.item()))

    async def get_details(self, task: GetTaskDetailsTask, caller: Caller) -> Reply:
        """What was asked and answered. Raises `TaskError`."""
        record = await self._find(caller.owner, task.task_uuid)
        reply = await outcome_reply(record, self._pictures)
        response = {
            **({"data": list(reply.data)} if reply.data or not reply.errors else {}),
            **({"errors": [item for _, item in reply.errors]} if reply.errors else {}),
        }
        details = TaskDetailsResult(task_uuid=task.task_uuid, request=[record.request], response=response)
        return Reply(data=(details.item(),))

    async def _find(self, owner: str, task_uuid: str) -> TaskRecord:
        record = await in_thread(self._journal.find, owner, task_uuid)
        if record is None:
            raise TaskError(
                "taskNotFound",
                f"there is no task {task_uuid}; it may never have been accepted, or have expired",
                parameter="taskUUID",
            )
        return record
