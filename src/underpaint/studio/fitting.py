"""The seed image, the mask and the maps of a task, at the size of its result."""

import numpy as np
from PIL import Image

from underpaint.engine.messages import Mask, Picture
from underpaint.images import Margins, extend_image, fit_image, fit_mask, margin_mask
from underpaint.wire import ImageInferenceTask, Outpaint, TaskError


def fitted_picture(image: Image.Image, task: ImageInferenceTask) -> Picture:
    """A seed image at the task's size, by its `fit`, or with the margins that it outpaints.

    Raises:
        TaskError: the task's size is not that of the picture with its margins.
    """
    if task.outpaint is not None:
        return _extended(image, task, task.outpaint)
    fitted = fit_image(image, width_px=task.width, height_px=task.height, mode=task.fit)
    return np.asarray(fitted, dtype=np.uint8)


def fitted_mask(drawn: Image.Image, task: ImageInferenceTask) -> Mask:
    """A drawn mask at the task's size, fitted as the seed image is."""
    fitted = fit_mask(drawn, width_px=task.width, height_px=task.height, mode=task.fit)
    return np.asarray(fitted, dtype=np.uint8)


def fitted_map(image: Image.Image, task: ImageInferenceTask) -> Picture:
    """A ControlNet's map at the task's size, fitted as the seed image is; with margins it is of the whole."""
    fitted = fit_image(image, width_px=task.width, height_px=task.height, mode=task.fit)
    return np.asarray(fitted, dtype=np.uint8)


def _extended(image: Image.Image, task: ImageInferenceTask, outpaint: Outpaint) -> Picture:
    margins = _margins(outpaint)
    for name, size, own, added, sides in (
        ("width", task.width, image.width, margins.added_width_px, "left and right"),
        ("height", task.height, image.height, margins.added_height_px, "top and bottom"),
    ):
        if size != own + added:
            raise TaskError(
                "incompatibleParameters",
                f"'{name}' must be the seed image's own {name} and what 'outpaint' adds on {sides}: "
                f"{own} + {added} = {own + added}, not {size}.",
                parameter=[name, "outpaint"],
            )
    return np.asarray(extend_image(image, margins), dtype=np.uint8)


def outpaint_mask(task: ImageInferenceTask, outpaint: Outpaint) -> Mask:
    """What an outpainting paints: its margins."""
    mask = margin_mask(task.width, task.height, _margins(outpaint), blur_px=outpaint.blur)
    return np.asarray(mask, dtype=np.uint8)


def _margins(outpaint: Outpaint) -> Margins:
    return Margins(
        top_px=outpaint.top, right_px=outpaint.right, bottom_px=outpaint.bottom, left_px=outpaint.left
    )
