"""cancelTask: end a task before it is finished."""

from typing import Literal

from underpaint.blocking import in_thread
from underpaint.studio.caller import Caller, Reply
from underpaint.studio.image_inference import ImageInference
from underpaint.studio.journal import Journal
from underpaint.wire import CancelResult, CancelTask, TaskError


async def cancel_task(
    task: CancelTask, caller: Caller, *, inference: ImageInference, journal: Journal
) -> Reply:
    """End a task, and say how it ended.

    A task that is over already is no error: whoever cancels cannot know whether the end comes first, and either way
    has what was asked for, a task that does not run. The status tells which it was.

    Args:
        task: names the task to end.
        caller: must be its owner.
        inference: does the tasks.
        journal: knows those that are over.

    Raises:
        TaskError: the caller has no such task.
    """
    was_unfinished = await inference.cancel(caller.owner, task.task_uuid)
    record = await in_thread(journal.find, caller.owner, task.task_uuid)
    if record is None and not was_unfinished:
        raise TaskError(
            "taskNotFound",
            f"there is no task {task.task_uuid} to cancel; it may never have been accepted, or have expired",
            parameter="taskUUID",
        )
    status: Literal["cancelled", "success", "error"] = "cancelled"
    if record is None:
        # It was cancelled before it was accepted, and nothing was kept of it.
        pass
    elif record.status == "accepted":
        # The server is stopping and has let go of it; it shall not go on after the restart.
        await inference.give_up(record)
    elif record.error is None or record.error["code"] != "taskCancelled":
        status = record.status
    return Reply(data=(CancelResult(task_uuid=task.task_uuid, status=status).item(),))
