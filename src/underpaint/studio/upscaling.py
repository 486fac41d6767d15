"""upscale: an imageInference task in other words, whose seed image is the enlarged picture."""

from typing import Literal

from PIL import Image

from underpaint.studio.pictures import Pictures
from underpaint.wire import ImageInferenceTask, PictureTask, UpscaleTask

LARGEST_SIDE_PX = 4096
"""Of a result."""
LARGEST_WORK_SIDE_PX = 2048
"""Up to which the model draws; what is larger is resampled from there."""


class UpscaleInference(ImageInferenceTask):
    """An upscale as image-to-image. The picture is resampled to its final size after it is painted."""

    task_type: Literal["upscale", "imageUpscale"] = "upscale"  # type: ignore[assignment]
    final_width_px: int
    final_height_px: int


class Upscaling:
    """Turns upscale tasks into ones that can be accepted, and into the same again after a restart."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    async def as_inference(self, task: UpscaleTask, owner: str) -> UpscaleInference:
        """What to do for a task whose picture is known by its UUID. Raises `TaskError`."""
        image = await self._pictures.incoming.read(task.input_image, parameter="inputImage", owner=owner)
        return inference_of(task, image)


def inference_of(task: UpscaleTask, image: Image.Image) -> UpscaleInference:
    """The image-to-image task that makes `image` larger."""
    shrunk = min(1.0, LARGEST_SIDE_PX / (task.upscale_factor * max(image.size)))
    width, height = (max(1, round(side * task.upscale_factor * shrunk)) for side in image.size)
    settings = task.settings
    # By resampling, a model's sizes do not matter.
    work = (width, height) if settings.strength == 0 else _work_size(width, height)
    delivery = {name: getattr(task, name) for name in PictureTask.model_fields}
    return UpscaleInference.model_construct(
        **delivery,
        task_type=task.task_type,
        model=task.model,
        seed_image=task.input_image,
        positive_prompt=settings.positive_prompt or "",
        negative_prompt=settings.negative_prompt or "",
        strength=settings.strength,
        width=work[0],
        height=work[1],
        steps=settings.steps,
        scheduler=settings.scheduler,
        seed=settings.seed,
        cfg_scale=1.0 if settings.cfg_scale is None and not settings.positive_prompt else settings.cfg_scale,
        clip_skip=settings.clip_skip,
        color_fix=settings.color_fix,
        final_width_px=width,
        final_height_px=height,
    )


def _work_size(width: int, height: int) -> tuple[int, int]:
    """The nearest size that a model can draw at: multiples of 64 from 128 to 2048."""
    scale = min(1.0, LARGEST_WORK_SIDE_PX / max(width, height))
    work = [min(LARGEST_WORK_SIDE_PX, max(128, round(side * scale / 64) * 64)) for side in (width, height)]
    return work[0], work[1]
