"""Tasks that ask about other tasks. Their taskUUID is that of the task they ask about."""

from typing import Literal

from underpaint.wire.fields import IdentifiedTask


class GetResponseTask(IdentifiedTask):
    """Asks for everything a task has produced so far."""

    task_type: Literal["getResponse"] = "getResponse"


class GetTaskDetailsTask(IdentifiedTask):
    """Asks for what was sent and answered under a taskUUID."""

    task_type: Literal["getTaskDetails"] = "getTaskDetails"
