"""What a journalled task is answered with: its results and its error in wire form."""

import base64

from underpaint.images import ImageNotFound
from underpaint.studio.caller import Item, Reply
from underpaint.studio.journal import ResultRecord, TaskRecord
from underpaint.studio.links import Links
from underpaint.studio.pictures import MEDIA_TYPE_OF_EXTENSION, Pictures
from underpaint.wire import (
    ControlNetPreprocessTask,
    GuideImageResult,
    ImageResult,
    PictureTask,
    UpscaleTask,
    parse_task,
)

COST_USD = 0.0
"""Of a picture made on one's own machine. Clients that ask for the cost get a number, as from the hosted service."""


async def outcome_reply(
    record: TaskRecord, pictures: Pictures, *, status: str | None = None, task: PictureTask | None = None
) -> Reply:
    """Results and error that a task has so far.

    Args:
        record: the task with its results.
        pictures: where their files are, for tasks that want them in the reply.
        status: of each result, in replies to getResponse.
        task: the record's request, where it has been read already.
    """
    if task is None:
        read = parse_task(record.request)
        assert isinstance(read, PictureTask), "only tasks that make pictures are written down"
        task = read
    items = [await _item(result, record, task, pictures, status) for result in record.results]
    errors: tuple[tuple[int, Item], ...] = ()
    if record.error is not None:
        error = dict(record.error) if status is None else {**record.error, "status": "error"}
        errors = ((record.error_status or 400, error),)
    return Reply(data=tuple(item for item in items if item is not None), errors=errors)


async def _item(
    result: ResultRecord,
    record: TaskRecord,
    task: PictureTask,
    pictures: Pictures,
    status: str | None,
) -> Item | None:
    encoded = None
    if {"base64Data", "dataURI"} & set(task.output_type):
        try:
            data = await pictures.data_of(result.image_uuid, result.extension)
        except ImageNotFound:
            # Deleted by its owner since.
            return None
        encoded = base64.b64encode(data).decode("ascii")
    return result_item(result, record, task, links=pictures.links, encoded=encoded, status=status)


def result_item(
    result: ResultRecord,
    record: TaskRecord,
    task: PictureTask,
    *,
    links: Links,
    encoded: str | None,
    status: str | None,
) -> Item:
    """One result in wire form.

    Args:
        result: the result.
        record: the task that made it.
        task: the same, read.
        links: make the link to it.
        encoded: the file in base64; None leaves out what would hold it.
        status: of the result, in replies to getResponse.
    """
    base_url = record.base_url
    wants = task.output_type if encoded is not None else {"URL"} & set(task.output_type)
    url = links.url(base_url, result.image_uuid, result.extension) if "URL" in wants else None
    data = encoded if "base64Data" in wants else None
    data_uri = (
        f"data:{MEDIA_TYPE_OF_EXTENSION[result.extension]};base64,{encoded}" if "dataURI" in wants else None
    )
    cost = COST_USD if task.include_cost else None
    if isinstance(task, ControlNetPreprocessTask):
        return GuideImageResult(
            task_uuid=record.task_uuid,
            guide_image_uuid=result.image_uuid,
            input_image_uuid=task.input_image,
            guide_image_url=url,
            guide_image_base64_data=data,
            guide_image_data_uri=data_uri,
            cost=cost,
            status=status,
            task_type=record.task_type,
        ).item()
    return ImageResult(
        task_uuid=record.task_uuid,
        image_uuid=result.image_uuid,
        seed=result.seed,
        image_url=url,
        image_base64_data=data,
        image_data_uri=data_uri,
        nsfw_content=result.unsafe,
        cost=cost,
        effective_steps=result.steps_run,
        status=status,
        # The picture is kept under a UUID before the task is written down.
        input_image_uuid=task.input_image if isinstance(task, UpscaleTask) else None,
        task_type=record.task_type,
    ).item()
