"""The reference images of a task, at the sizes in which its model looks at them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from underpaint.catalog import ModelEntry
from underpaint.diffusion.reference_sizes import LARGEST_PIXELS, reference_size
from underpaint.engine.messages import Picture
from underpaint.images import fit_image
from underpaint.studio.pictures import Pictures
from underpaint.wire import ImageInferenceTask


async def read_references(
    task: ImageInferenceTask, entry: ModelEntry, pictures: Pictures, owner: str
) -> tuple[tuple[Picture, ...], tuple[bytes, ...]]:
    """Reference images for the engine, and their files as they came. Raises `TaskError`."""
    read = [
        await pictures.incoming.read_as(
            each,
            lambda image: reference_picture(image, entry),
            parameter=f"referenceImages[{index}]",
            owner=owner,
        )
        for index, each in enumerate(task.reference_images)
    ]
    return tuple(picture for picture, _ in read), tuple(file for _, file in read)


def reference_picture(image: Image.Image, entry: ModelEntry) -> Picture:
    """A picture in the nearest of the shapes that models look at, by about as many pixels as `entry` draws."""
    side_px = min(entry.defaults.width_px, entry.defaults.height_px)
    width_px, height_px = reference_size(image.width, image.height, side_px=side_px)
    return np.asarray(fit_image(image, width_px=width_px, height_px=height_px), dtype=np.uint8)


def with_size(task: ImageInferenceTask, references: Sequence[Picture]) -> ImageInferenceTask:
    """The task with the size of its picture, which may have been left to the first reference image."""
    if task.width:
        return task
    height_px, width_px = references[0].shape[:2]
    return task.model_copy(update={"width": width_px, "height": height_px})


def pixels_of(task: ImageInferenceTask) -> int:
    """Of one picture of a task; the most that it may have, where that is left to a reference image."""
    return task.width * task.height or LARGEST_PIXELS
