"""What comes of a transformation, and what is told on the way."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PIL import Image

from underpaint.catalog import ModelEntry
from underpaint.engine import messages
from underpaint.images import OutputFormat, encode_image
from underpaint.studio.making import picture_parameters

_FORMAT_OF_SUFFIX: Mapping[str, OutputFormat] = {
    ".jpg": "JPG",
    ".jpeg": "JPG",
    ".png": "PNG",
    ".webp": "WEBP",
}


class TransformFailed(RuntimeError):
    """The engine could not make a picture. The message says why."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far one picture is."""

    result: int
    """Which picture, counted from 0 over all pictures of the call."""
    step: int
    steps: int
    """Steps that will run in all."""
    stage: Literal["loading", "running", "done"]


@dataclass(frozen=True, kw_only=True)
class Transformed:
    """A picture and how it came about."""

    image: Image.Image = field(repr=False)
    """RGB."""
    seed: int
    """With the same parameters it gives the same picture again."""
    steps: int
    """Of full runs, of all passes."""
    effective_steps: int
    """Steps that ran, `round(steps x strength)` where strength is a share of the steps."""
    strength: float | None
    """None for text-to-image."""
    parameters: Mapping[str, object] = field(repr=False)
    """What `save` writes into the file, in the words of the API."""
    embed_parameters: bool = field(default=True, repr=False)
    """Whether it does; the setting of that name."""

    def save(self, path: str | os.PathLike[str], *, quality: int = 95) -> None:
        """Write a .jpg, .png or .webp file that carries its parameters.

        Raises:
            ValueError: another suffix.
        """
        target = Path(path)
        format = _FORMAT_OF_SUFFIX.get(target.suffix.lower())
        if format is None:
            raise ValueError(f"{target.name}: pictures are written as .jpg, .png or .webp")
        target.write_bytes(
            encode_image(
                self.image,
                format=format,
                quality=quality,
                parameters=self.parameters if self.embed_parameters else None,
            )
        )


def transformed(
    job: messages.JobRequest, entry: ModelEntry, finished: messages.Finished, *, embed_parameters: bool
) -> Transformed:
    """What a job has become."""
    return Transformed(
        image=Image.fromarray(finished.picture),
        seed=job.seed,
        steps=sum(each.steps for each in job.passes),
        effective_steps=finished.steps_run,
        strength=None
        if job.picture is None
        else job.strength
        if job.asked_strength is None
        else job.asked_strength,
        parameters=picture_parameters(job, entry, finished),
        embed_parameters=embed_parameters,
    )
