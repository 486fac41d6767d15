"""The library face: pictures in, pictures out, in this process and without a server."""

import math
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from PIL import Image
from pydantic import ValidationError

from underpaint.catalog import Catalog, ModelEntry
from underpaint.catalog.additions import additional_model
from underpaint.catalog.download import local_files
from underpaint.catalog.image_encoders import image_encoder_of
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.engine import messages
from underpaint.engine.threads import let_threads_sleep
from underpaint.guide import Guide, Photo
from underpaint.images import (
    DecodeLimits,
    FitMode,
    Margins,
    OutputFormat,
    decode_image,
    encode_image,
    extend_image,
    fit_image,
    fit_mask,
    margin_mask,
    shrink_image,
)
from underpaint.settings import Settings, load_settings
from underpaint.studio.embeddings import embedding_of
from underpaint.studio.making import picture_parameters
from underpaint.studio.options import engine_options
from underpaint.studio.requests import (
    GUIDE_SIDE_PX,
    LARGEST_SEED,
    RUNNABLE_ARCHITECTURES,
    Wishes,
    job_requests,
)
from underpaint.wire import BLANK_PROMPT, MAX_GUIDE_IMAGES, MAX_IP_ADAPTERS, MAX_PASSES, Outpaint, Pass
from underpaint.wire.violations import first_violation

_FORMAT_OF_SUFFIX: Mapping[str, OutputFormat] = {
    ".jpg": "JPG",
    ".jpeg": "JPG",
    ".png": "PNG",
    ".webp": "WEBP",
}
_PASS_NAMES: Mapping[str, str] = {
    "strength": "strength",
    "prompt": "positive_prompt",
    "negative_prompt": "negative_prompt",
    "steps": "steps",
    "guidance_scale": "cfg_scale",
    "scheduler": "scheduler",
}
"""What a pass may have of its own, and what the wire's type calls it."""
_SIDE_MULTIPLE_PX = 64
_SMALLEST_SIDE_PX, _LARGEST_SIDE_PX = 128, 2048


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
    """Steps that ran, `round(steps x strength)`."""
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


def transform(
    photo: Photo | None,
    prompt: str,
    *,
    settings: Settings | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **wishes: Any,
) -> list[Transformed]:
    """Transform a photo by a prompt.

    Loads the model anew at each call; for several calls use one `Painter`.

    Args:
        photo: a path, an encoded image, a PIL image, or None to make a picture from the prompt alone.
        prompt: what to make of it.
        settings: by default those of environment and file.
        on_progress: called for every step.
        **wishes: the keyword arguments of `Painter.transform`.

    Returns:
        One picture, or `results` of them.
    """
    with Painter(settings) as painter:
        return painter.transform(photo, prompt, on_progress=on_progress, **wishes)


class Painter:
    """An engine in this process. Use as a context manager; models stay loaded within it. Not thread-safe."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or load_settings().settings
        self._catalog = Catalog(self._settings, runnable=RUNNABLE_ARCHITECTURES)
        self._events: list[messages.Event] = []
        self._engine: Any = None

    def __enter__(self) -> Self:
        # torch is loaded here, not with the module: `import underpaint` stays instant.
        let_threads_sleep()
        from underpaint.engine.engine import Engine

        self._engine = Engine(engine_options(self._settings), emit=self._events.append)
        return self

    def __exit__(self, *_: object) -> None:
        self._engine = None

    def transform(
        self,
        photo: Photo | None,
        prompt: str,
        *,
        negative_prompt: str = "",
        mask: Photo | None = None,
        mask_margin: int | None = None,
        outpaint: Mapping[str, int] | None = None,
        strength: float | None = None,
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        seed: int | None = None,
        results: int = 1,
        model: str | None = None,
        fit: FitMode = "stretch",
        clip_skip: int = 0,
        prompt_weighting: Literal["compel", "sdEmbeds"] | None = None,
        vae: str | None = None,
        loras: Mapping[str, float] | None = None,
        guides: Sequence[Guide] = (),
        embeddings: Mapping[str, float] | None = None,
        passes: Sequence[Mapping[str, Any]] = (),
        on_progress: Callable[[Progress], None] | None = None,
    ) -> list[Transformed]:
        """Transform a photo by a prompt.

        Args:
            photo: a path, an encoded image, a PIL image, or None for text-to-image.
            prompt: what to make of it.
            negative_prompt: what to keep away from.
            mask: where the photo is painted anew (white) or kept to the byte (black); gray blends. None for everywhere.
            mask_margin: what the mask paints is worked on with so many pixels around it, 32 to 128, enlarged to the
                whole size; None for the whole picture at once.
            outpaint: how the photo is continued beyond its sides: a mapping that may name `top`, `right`, `bottom` and
                `left` (pixels, multiples of 64) and `blur` (0 to 32 pixels that the new part fades into the old one).
                `width` and `height` are of the whole.
            strength: 0 (the photo as it is) to 1 (the prompt alone); by default the model's.
            width: pixels, a multiple of 64 from 128 to 2048; by default the photo's shape at the model's best size.
            height: as `width`.
            steps: 1 to 100; of these, the share `strength` runs. By default the model's.
            guidance_scale: 0 to 50, how strictly the prompt is followed; 1 and below turn guidance off.
            scheduler: a name of the API; by default the model's.
            seed: 1 to 2^63 - 1; by default a random one.
            results: how many pictures, with seeds that follow on `seed`.
            model: an AIR identifier; by default that of the settings.
            fit: how a photo of another shape fills the picture.
            clip_skip: layers of the text encoder to leave out, 0 to 2.
            prompt_weighting: syntax of weights within both prompts, such as "(snow:1.5)" (sdEmbeds) or "snow++"
                (compel).
            vae: AIR identifier of a VAE in place of the model's own.
            loras: weights, -4 to 4, of LoRAs by their AIR identifiers, which act together upon the model.
            guides: pictures that lead the result beside the prompt, by up to 8 IP-Adapters.
            embeddings: weights, -4 to 4, of textual inversions by their AIR identifiers. Each acts where its word (its
                trigger word, else the one in its file, else its name) stands in a prompt.
            passes: up to 20 passes, each from the latents that the one before left. Each is a mapping that may name
                `strength`, `prompt`, `negative_prompt`, `steps`, `guidance_scale` and `scheduler`; what it leaves out
                is the call's own. None for a single pass.
            on_progress: called for every step.

        Raises:
            ValueError: an argument is out of its range, or the photo is no acceptable picture.
            LookupError: the model is unknown, not installed or not runnable.
            TransformFailed: the engine could not make the picture.
        """
        wishes = {name: value for name, value in locals().items() if name not in ("self", "on_progress")}
        return self.transform_many([wishes], on_progress=on_progress)[0]

    def transform_many(
        self,
        requests: Sequence[Mapping[str, Any]],
        *,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> list[list[Transformed]]:
        """Several transformations at once, which share forward passes where their sizes and models allow it.

        Args:
            requests: the arguments of `transform`, each as a mapping with at least `photo` and `prompt`.
            on_progress: called for every step of every picture.

        Returns:
            For each request what `transform` gives. Raises what it raises, and then makes none of them.
        """
        if self._engine is None:
            raise RuntimeError("use the Painter as a context manager: with Painter() as painter: ...")
        planned = [self._plan(**request) for request in requests]
        jobs = [job for _, jobs in planned for job in jobs]
        finished = self._run(jobs, on_progress or (lambda _: None))
        embed = self._settings.embed_parameters
        return [
            [_transformed(job, entry, finished[job.job_id], embed_parameters=embed) for job in jobs]
            for entry, jobs in planned
        ]

    def _plan(
        self,
        photo: Photo | None,
        prompt: str,
        *,
        width: int | None = None,
        height: int | None = None,
        strength: float | None = None,
        mask: Photo | None = None,
        mask_margin: int | None = None,
        outpaint: Mapping[str, int] | None = None,
        seed: int | None = None,
        model: str | None = None,
        fit: FitMode = "stretch",
        vae: str | None = None,
        loras: Mapping[str, float] | None = None,
        guides: Sequence[Guide] = (),
        embeddings: Mapping[str, float] | None = None,
        passes: Sequence[Mapping[str, Any]] = (),
        **rest: Any,
    ) -> tuple[ModelEntry, tuple[messages.JobRequest, ...]]:
        entry = self._catalog.resolve(model or self._settings.default_model)
        image = None if photo is None else self._read(photo)
        if outpaint is None:
            width_px, height_px = _size(image, entry, width, height)
            seed_picture, painted_mask = self._fitted(image, mask, width_px, height_px, fit)
        else:
            if image is None or mask is not None:
                raise ValueError("outpaint needs a photo to continue, and makes the mask itself")
            margins, blur_px = _margins(outpaint)
            seed_picture, painted_mask = _extended(image, entry, margins, blur_px, width, height, fit)
            height_px, width_px = painted_mask.shape
        if mask_margin is not None and mask is None:
            raise ValueError("mask_margin needs a mask")
        chosen_strength = entry.defaults.strength if strength is None else strength
        weighting = rest.get("prompt_weighting")
        if weighting not in (None, "compel", "sdEmbeds"):
            raise ValueError(f"prompt_weighting must be 'compel' or 'sdEmbeds', not {weighting!r}")
        own = tuple(_pass(index, each) for index, each in enumerate(passes))
        if len(own) > MAX_PASSES:
            raise ValueError(f"passes must be at most {MAX_PASSES}, not {len(own)}")
        _check_ranges(
            strength=(strength, 0, 1),
            seed=(seed, 1, LARGEST_SEED),
            mask_margin=(mask_margin, 32, 128),
            **_ranges(rest),
        )
        prompts = [prompt, rest.get("negative_prompt") or ""]
        prompts += [text for each in own for text in (each.positive_prompt, each.negative_prompt) if text]
        wishes = Wishes(
            prompt=prompt,
            width_px=width_px,
            height_px=height_px,
            picture=seed_picture,
            mask=painted_mask,
            mask_margin_px=mask_margin,
            strength=chosen_strength,
            seed=random.SystemRandom().randrange(1, 2**32) if seed is None else seed,
            vae=None if vae is None else self._vae(vae, entry),
            loras=tuple(self._lora(air, weight, entry) for air, weight in (loras or {}).items()),
            image_prompts=self._image_prompts(guides, entry),
            embeddings=self._embeddings(embeddings or {}, entry, prompts),
            passes=own,
            **rest,
        )
        return entry, job_requests(wishes, entry=entry, location=local_files(entry), owner="")

    def _fitted(
        self, image: Image.Image | None, mask: Photo | None, width_px: int, height_px: int, fit: FitMode
    ) -> tuple[messages.Picture | None, messages.Mask | None]:
        if image is None:
            if mask is not None:
                raise ValueError("a mask needs a photo that it belongs to")
            return None, None
        fitted = fit_image(image, width_px=width_px, height_px=height_px, mode=fit)
        if mask is None:
            return np.asarray(fitted, dtype=np.uint8), None
        drawn = fit_mask(self._read(mask), width_px=width_px, height_px=height_px, mode=fit)
        return np.asarray(fitted, dtype=np.uint8), np.asarray(drawn, dtype=np.uint8)

    def _vae(self, air: str, checkpoint: ModelEntry) -> messages.Addition:
        if not FAMILY_OF_ARCHITECTURE[checkpoint.architecture].vae:
            raise ValueError(f"models of {checkpoint.architecture} work with their own VAE only")
        entry, location = additional_model(self._catalog, air, "vae", checkpoint=checkpoint)
        return messages.Addition(air=entry.air, location=location)

    def _lora(self, air: str, weight: float, checkpoint: ModelEntry) -> messages.Addition:
        if not FAMILY_OF_ARCHITECTURE[checkpoint.architecture].loras:
            raise ValueError(f"models of {checkpoint.architecture} take no LoRA")
        _check_ranges(loras=(weight, -4, 4))
        entry, location = additional_model(self._catalog, air, "lora", checkpoint=checkpoint)
        return messages.Addition(air=entry.air, location=location, weight=weight)

    def _image_prompts(
        self, guides: Sequence[Guide], checkpoint: ModelEntry
    ) -> tuple[messages.ImagePrompt, ...]:
        if guides and not FAMILY_OF_ARCHITECTURE[checkpoint.architecture].ip_adapters:
            raise ValueError(f"models of {checkpoint.architecture} take no IP-Adapter")
        _check_ranges(guides=(len(guides), 0, MAX_IP_ADAPTERS))
        return tuple(self._image_prompt(guide, checkpoint) for guide in guides)

    def _image_prompt(self, guide: Guide, checkpoint: ModelEntry) -> messages.ImagePrompt:
        _check_ranges(
            photos=(len(guide.photos), 1, MAX_GUIDE_IMAGES),
            weight=(guide.weight, -1, 1),
            weight_composition=(guide.weight_composition, 0, 1),
        )
        entry, location = additional_model(self._catalog, guide.model, "ipadapter", checkpoint=checkpoint)
        photos = [shrink_image(self._read(photo), longest_px=GUIDE_SIDE_PX) for photo in guide.photos]
        return messages.ImagePrompt(
            air=entry.air,
            location=location,
            encoder=image_encoder_of(entry, location),
            pictures=tuple(np.asarray(photo, dtype=np.uint8) for photo in photos),
            weight=guide.weight,
            combination=guide.combine_method,
            scaling=guide.embed_scaling,
            weight_type=guide.weight_type,
            weight_composition=guide.weight_composition,
        )

    def _embeddings(
        self, weights: Mapping[str, float], checkpoint: ModelEntry, prompts: Sequence[str]
    ) -> tuple[messages.Embedding, ...]:
        if weights and not FAMILY_OF_ARCHITECTURE[checkpoint.architecture].embeddings:
            raise ValueError(f"models of {checkpoint.architecture} take no embedding")
        found = []
        for air, weight in weights.items():
            _check_ranges(embeddings=(weight, -4, 4))
            entry, location, triggers = embedding_of(
                self._catalog, air, checkpoint=checkpoint, prompts=prompts
            )
            found.append(
                messages.Embedding(air=entry.air, location=location, weight=weight, triggers=triggers)
            )
        return tuple(found)

    def _read(self, photo: Photo) -> Image.Image:
        if isinstance(photo, Image.Image):
            return photo.convert("RGB")
        data = photo if isinstance(photo, bytes) else Path(photo).read_bytes()
        limits = DecodeLimits(
            max_bytes=self._settings.max_image_bytes, max_pixels=self._settings.max_image_pixels
        )
        return decode_image(data, limits=limits)

    def _run(
        self, jobs: Sequence[messages.JobRequest], on_progress: Callable[[Progress], None]
    ) -> dict[str, messages.Finished]:
        position = {job.job_id: index for index, job in enumerate(jobs)}
        finished: dict[str, messages.Finished] = {}
        self._events.clear()
        try:
            self._engine.submit(jobs)
            while True:
                for event in self._events:
                    match event:
                        case messages.Progress():
                            on_progress(
                                Progress(
                                    result=position[event.job_id],
                                    step=event.step,
                                    steps=event.steps,
                                    stage=event.stage,
                                )
                            )
                        case messages.Finished():
                            finished[event.job_id] = event
                            on_progress(
                                Progress(
                                    result=position[event.job_id],
                                    step=event.steps_run,
                                    steps=event.steps_run,
                                    stage="done",
                                )
                            )
                        case messages.Failed():
                            raise TransformFailed(event.message)
                self._events.clear()
                if not self._engine.busy:
                    return finished
                self._engine.tick()
        finally:
            # After an error or an interrupt nothing of this call is left for the next one.
            self._engine.cancel([job.job_id for job in jobs])


def _transformed(
    job: messages.JobRequest, entry: ModelEntry, finished: messages.Finished, *, embed_parameters: bool
) -> Transformed:
    return Transformed(
        image=Image.fromarray(finished.picture),
        seed=job.seed,
        steps=sum(each.steps for each in job.passes),
        effective_steps=finished.steps_run,
        strength=None if job.picture is None else job.strength,
        parameters=picture_parameters(job, entry, finished),
        embed_parameters=embed_parameters,
    )


def _margins(outpaint: Mapping[str, int]) -> tuple[Margins, int]:
    """The margins, and how far they fade into the photo."""
    unknown = outpaint.keys() - set(Outpaint.wire_names())
    if unknown:
        raise ValueError(
            f"outpaint has no {sorted(unknown)[0]!r}; it may have {', '.join(Outpaint.wire_names())}"
        )
    try:
        asked = Outpaint(**outpaint)
    except ValidationError as error:
        raise ValueError(f"outpaint: {first_violation(error, Outpaint).message}") from None
    margins = Margins(top_px=asked.top, right_px=asked.right, bottom_px=asked.bottom, left_px=asked.left)
    if not (margins.added_width_px or margins.added_height_px):
        raise ValueError("outpaint must extend at least one side")
    return margins, asked.blur


def _extended(
    image: Image.Image,
    entry: ModelEntry,
    margins: Margins,
    blur_px: int,
    width: int | None,
    height: int | None,
    fit: FitMode,
) -> tuple[messages.Picture, messages.Mask]:
    inner_width, inner_height = _size(
        image,
        entry,
        None if width is None else width - margins.added_width_px,
        None if height is None else height - margins.added_height_px,
    )
    extended = extend_image(fit_image(image, width_px=inner_width, height_px=inner_height, mode=fit), margins)
    for name, side in (("width", extended.width), ("height", extended.height)):
        if side > _LARGEST_SIDE_PX:
            raise ValueError(
                f"with what outpaint adds, {name} is {side}; it may be {_LARGEST_SIDE_PX} at most"
            )
    mask = margin_mask(extended.width, extended.height, margins, blur_px=blur_px)
    return np.asarray(extended, dtype=np.uint8), np.asarray(mask, dtype=np.uint8)


def _pass(index: int, own: Mapping[str, Any]) -> Pass:
    unknown = own.keys() - _PASS_NAMES.keys()
    if unknown:
        raise ValueError(
            f"passes[{index}] has no {sorted(unknown)[0]!r}; it may have {', '.join(_PASS_NAMES)}"
        )
    given = {_PASS_NAMES[name]: value for name, value in own.items()}
    if given.get("positive_prompt") == "":
        given["positive_prompt"] = BLANK_PROMPT
    try:
        return Pass(**given)
    except ValidationError as error:
        raise ValueError(f"passes[{index}]: {first_violation(error, Pass).message}") from None


def _size(
    image: Image.Image | None, entry: ModelEntry, width: int | None, height: int | None
) -> tuple[int, int]:
    """Size of the picture: as asked for, and otherwise the photo's shape at about the model's number of pixels."""
    defaults = entry.defaults
    shape = (defaults.width_px, defaults.height_px) if image is None else image.size
    if width is None:
        if height is None:
            return _nearest_size(shape[0] / shape[1], defaults.width_px * defaults.height_px)
        width = _side(height * shape[0] / shape[1])
    elif height is None:
        height = _side(width * shape[1] / shape[0])
    for name, side in (("width", width), ("height", height)):
        if side % _SIDE_MULTIPLE_PX or not _SMALLEST_SIDE_PX <= side <= _LARGEST_SIDE_PX:
            raise ValueError(
                f"{name} must be a multiple of {_SIDE_MULTIPLE_PX} from {_SMALLEST_SIDE_PX} to {_LARGEST_SIDE_PX}, "
                f"not {side}"
            )
    return width, height


def _ranges(rest: Mapping[str, Any]) -> dict[str, tuple[Any, int, int]]:
    bounds = {"steps": (1, 100), "guidance_scale": (0, 50), "results": (1, 20), "clip_skip": (0, 2)}
    return {name: (rest.get(name), low, high) for name, (low, high) in bounds.items()}


def _check_ranges(**arguments: tuple[float | None, float, float]) -> None:
    for name, (value, low, high) in arguments.items():
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name} must lie between {low} and {high}, not {value}")


def _nearest_size(aspect: float, area_px: int) -> tuple[int, int]:
    """The allowed size that distorts a picture of that aspect ratio least, at about that number of pixels."""
    sides = range(_SMALLEST_SIDE_PX, _LARGEST_SIDE_PX + 1, _SIDE_MULTIPLE_PX)
    # A change of shape is seen, a change of size hardly: it weighs a tenth.
    return min(
        ((width, height) for width in sides for height in sides),
        key=lambda size: (
            abs(math.log(size[0] / size[1] / aspect)) + 0.1 * abs(math.log(size[0] * size[1] / area_px))
        ),
    )


def _side(pixels: float) -> int:
    nearest = round(pixels / _SIDE_MULTIPLE_PX) * _SIDE_MULTIPLE_PX
    return min(_LARGEST_SIDE_PX, max(_SMALLEST_SIDE_PX, nearest))
