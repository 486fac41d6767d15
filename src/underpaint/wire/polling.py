"""Tasks about other tasks. Their taskUUID is that of the task they are about."""

from typing import Literal

from underpaint.wire.fields import IdentifiedTask


class GetResponseTask(IdentifiedTask):
    """Asks for everything a task has produced so far."""

    task_type: Literal["getResponse"] = "getResponse"


class GetTaskDetailsTask(IdentifiedTask):
    """Asks for what was sent and answered under a taskUUID."""

    task_type: Literal["getTaskDetails"] = "getTaskDetails"


class CancelTask(IdentifiedTask):
    """Ends a task before it is finished (extension)."""

    task_type: Literal["cancelTask"] = "cancelTask"
