"""controlNetPreprocess: the picture at the size of its guide image, and the networks that look at it."""

import uuid
from functools import partial

import numpy as np
from PIL import Image

from underpaint.catalog import CatalogError
from underpaint.catalog.download import DownloadFailed
from underpaint.catalog.preprocessor_networks import network_folder
from underpaint.engine.messages import PreprocessRequest
from underpaint.images import fit_image
from underpaint.preprocessors.needs import NETWORKS_OF
from underpaint.settings import Settings
from underpaint.studio.downloads import Downloads
from underpaint.studio.pictures import Pictures
from underpaint.wire import ControlNetPreprocessTask, TaskError

LONGEST_SIDE_PX = 2048
"""Of a guide image: that of the largest picture that it could guide."""


class Preprocessing:
    """Gets what tasks need."""

    def __init__(self, *, settings: Settings, pictures: Pictures) -> None:
        self._settings = settings
        self._pictures = pictures
        self._downloads = Downloads()

    async def prepare(self, task: ControlNetPreprocessTask, owner: str) -> PreprocessRequest:
        """Check everything about a task that its parser cannot know. Raises `TaskError`."""
        kind = task.pre_processor_type
        try:
            networks = {
                name: await self._downloads.get(
                    name, partial(network_folder, name, self._settings.preprocessor_networks)
                )
                for name in NETWORKS_OF.get(kind, ())
            }
        except (CatalogError, DownloadFailed) as missing:
            raise TaskError(
                "modelNotReady", str(missing), parameter="preProcessorType", type="string"
            ) from None
        picture, _ = await self._pictures.incoming.read_as(
            task.input_image, lambda image: _fitted(image, task), parameter="inputImage", owner=owner
        )
        return PreprocessRequest(
            job_id=str(uuid.uuid4()),
            owner=owner,
            kind=kind,
            picture=picture,
            low_threshold=task.low_threshold_canny,
            high_threshold=task.high_threshold_canny,
            networks=networks,
        )


def guide_size(picture_size: tuple[int, int], *, width: int | None, height: int | None) -> tuple[int, int]:
    """Width and height of the guide image in pixels: those asked for, in their own proportions, as far as the picture
    has so many and `LONGEST_SIDE_PX` allows. One alone keeps the picture's proportions, and none is the picture's own.
    """
    own_width, own_height = picture_size
    if width is not None and height is not None:
        asked = (float(width), float(height))
    elif width is not None:
        asked = (float(width), own_height * width / own_width)
    elif height is not None:
        asked = (own_width * height / own_height, float(height))
    else:
        asked = (float(own_width), float(own_height))
    shrunk = min(1.0, own_width / asked[0], own_height / asked[1], LONGEST_SIDE_PX / max(asked))
    return max(1, round(asked[0] * shrunk)), max(1, round(asked[1] * shrunk))


def _fitted(
    image: Image.Image, task: ControlNetPreprocessTask
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    width, height = guide_size(image.size, width=task.width, height=task.height)
    return np.asarray(fit_image(image, width_px=width, height_px=height), dtype=np.uint8)
