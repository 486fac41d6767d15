"""From the arguments of a call to jobs for the engine."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image
from pydantic import ValidationError

from underpaint import wire
from underpaint.catalog import Catalog, ModelEntry
from underpaint.catalog.additions import additional_model
from underpaint.catalog.download import local_files
from underpaint.catalog.image_encoders import image_encoder_of
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.engine import messages
from underpaint.images import (
    DecodeLimits,
    FitMode,
    Margins,
    decode_image,
    extend_image,
    fit_image,
    fit_mask,
    margin_mask,
    shrink_image,
)
from underpaint.library.control import Control
from underpaint.library.guide import Guide, Photo
from underpaint.library.sizes import LARGEST_SIDE_PX, size_of
from underpaint.settings import Settings
from underpaint.studio.embeddings import embedding_of
from underpaint.studio.reference_images import reference_picture
from underpaint.studio.requests import (
    GUIDE_SIDE_PX,
    LARGEST_SEED,
    Wishes,
    control_traits,
    job_requests,
    model_reference,
)
from underpaint.wire import (
    BLANK_PROMPT,
    MAX_CONTROLNETS,
    MAX_GUIDE_IMAGES,
    MAX_IP_ADAPTERS,
    MAX_PASSES,
    ControlMode,
    Outpaint,
    Pass,
    TaskError,
)
from underpaint.wire.violations import first_violation

_PASS_NAMES: Mapping[str, str] = {
    "strength": "strength",
    "prompt": "positive_prompt",
    "negative_prompt": "negative_prompt",
    "steps": "steps",
    "guidance_scale": "cfg_scale",
    "scheduler": "scheduler",
}
"""What a pass may have of its own, and what the wire's type calls it."""


class Planner:
    """Reads calls: their models by the catalog, their photos and masks at the size of the result."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog

    def plan(
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
        references: Sequence[Photo] = (),
        controls: Sequence[Control] = (),
        embeddings: Mapping[str, float] | None = None,
        refiner: str | None = None,
        refiner_start: float = 0.8,
        passes: Sequence[Mapping[str, Any]] = (),
        **rest: Any,
    ) -> tuple[ModelEntry, tuple[messages.JobRequest, ...]]:
        """The model of a call, and a job for each of its results. Takes what `Painter.transform` takes, and raises
        its `ValueError` and `LookupError`.
        """
        entry = self._catalog.resolve(model or self._settings.default_model)
        image = None if photo is None else self._read(photo)
        seen = self._references(references, entry)
        if outpaint is None:
            if image is None and seen and width is None and height is None:
                height_px, width_px = seen[0].shape[:2]
            else:
                width_px, height_px = size_of(image, entry, width, height)
            seed_picture, painted_mask = self._fitted(image, mask, width_px, height_px, fit)
        else:
            if image is None or mask is not None:
                raise ValueError("outpaint needs a photo to continue, and makes the mask itself")
            margins, blur_px = _margins(outpaint)
            seed_picture, painted_mask = _extended(image, entry, margins, blur_px, width, height, fit)
            height_px, width_px = painted_mask.shape
        if mask_margin is not None and mask is None:
            raise ValueError("mask_margin needs a mask")
        if rest.get("color_fix") and (seed_picture is None or painted_mask is not None):
            raise ValueError("color_fix needs a photo, and neither a mask nor outpaint")
        chosen_strength = entry.defaults.strength if strength is None else strength
        curve = rest.get("strength_curve", "steps")
        if curve not in ("steps", "perceptual"):
            raise ValueError(f"strength_curve must be 'steps' or 'perceptual', not {curve!r}")
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
            refiner_start=(refiner_start, 0.01, 0.99),
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
            references=seen,
            controls=self._controls(controls, entry, (width_px, height_px), fit),
            embeddings=self._embeddings(embeddings or {}, entry, prompts),
            refiner=None if refiner is None else self._refiner(refiner, refiner_start, entry, rest, own),
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

    def _refiner(
        self, air: str, start: float, entry: ModelEntry, rest: Mapping[str, Any], passes: Sequence[Pass]
    ) -> messages.Refiner:
        if "refiner" not in FAMILY_OF_ARCHITECTURE[entry.architecture].types:
            raise ValueError(f"refiner goes with SDXL models only, and {entry.air} is {entry.architecture}")
        if passes:
            raise ValueError("refiner takes over within one pass; leave passes out")
        found = self._catalog.resolve(air, as_refiner=True)
        asked = wire.Refiner(model=found.air, start_step_percentage=round(100 * start))
        try:
            before = asked.steps_before(rest.get("steps") or entry.defaults.steps)
        except TaskError as refusal:
            raise ValueError(refusal.message) from None
        return messages.Refiner(model=model_reference(found, local_files(found)), start_step=before)

    def _references(self, photos: Sequence[Photo], checkpoint: ModelEntry) -> tuple[messages.Picture, ...]:
        most = FAMILY_OF_ARCHITECTURE[checkpoint.architecture].reference_images
        if photos and not most:
            raise ValueError(
                f"references are for editing models, and {checkpoint.air} is {checkpoint.architecture}"
            )
        _check_ranges(references=(len(photos), 0, most))
        return tuple(reference_picture(self._read(photo), checkpoint) for photo in photos)

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
        weights = (guide.weight, guide.weight_composition, guide.embed_scaling, guide.weight_type)
        weighed = FAMILY_OF_ARCHITECTURE[checkpoint.architecture].weighs_ip_adapters
        if not weighed and weights != (1.0, 1.0, "kv", "normal"):
            raise ValueError(f"guides of models of {checkpoint.architecture} have no weight")
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

    def _controls(
        self, controls: Sequence[Control], checkpoint: ModelEntry, size: tuple[int, int], fit: FitMode
    ) -> tuple[messages.Control, ...]:
        if controls and not FAMILY_OF_ARCHITECTURE[checkpoint.architecture].controlnets:
            raise ValueError(f"models of {checkpoint.architecture} take no ControlNet")
        _check_ranges(controls=(len(controls), 0, MAX_CONTROLNETS))
        return tuple(self._control(control, checkpoint, size, fit) for control in controls)

    def _control(
        self, control: Control, checkpoint: ModelEntry, size: tuple[int, int], fit: FitMode
    ) -> messages.Control:
        _check_ranges(weight=(control.weight, 0, 1), start=(control.start, 0, 1), end=(control.end, 0, 1))
        if control.end <= control.start:
            raise ValueError(f"end must be greater than start, which is {control.start}, not {control.end}")
        if control.mode not in get_args(ControlMode):
            raise ValueError(f"mode must be one of {', '.join(get_args(ControlMode))}, not {control.mode!r}")
        entry, location = additional_model(self._catalog, control.model, "controlnet", checkpoint=checkpoint)
        fitted = fit_image(self._read(control.photo), width_px=size[0], height_px=size[1], mode=fit)
        return messages.Control(
            air=entry.air,
            location=location,
            map=np.asarray(fitted, dtype=np.uint8),
            weight=control.weight,
            start=control.start,
            end=control.end,
            mode=control.mode,
            **control_traits(entry),
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
    inner_width, inner_height = size_of(
        image,
        entry,
        None if width is None else width - margins.added_width_px,
        None if height is None else height - margins.added_height_px,
    )
    extended = extend_image(fit_image(image, width_px=inner_width, height_px=inner_height, mode=fit), margins)
    for name, side in (("width", extended.width), ("height", extended.height)):
        if side > LARGEST_SIDE_PX:
            raise ValueError(
                f"with what outpaint adds, {name} is {side}; it may be {LARGEST_SIDE_PX} at most"
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


def _ranges(rest: Mapping[str, Any]) -> dict[str, tuple[Any, int, int]]:
    bounds = {"steps": (1, 100), "guidance_scale": (0, 50), "results": (1, 20), "clip_skip": (0, 2)}
    return {name: (rest.get(name), low, high) for name, (low, high) in bounds.items()}


def _check_ranges(**arguments: tuple[float | None, float, float]) -> None:
    for name, (value, low, high) in arguments.items():
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name} must lie between {low} and {high}, not {value}")
