"""What an imageInference task needs before it can run: its model's files, and its seed image at the right size."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from underpaint import wire
from underpaint.catalog import Catalog, CatalogError, ModelEntry, ModelListUnreadable, ModelNotInstalled
from underpaint.catalog.additions import additional_model
from underpaint.catalog.download import DownloadFailed, local_files
from underpaint.catalog.entry import Category
from underpaint.catalog.image_encoders import image_encoder_of
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.engine.messages import Addition, Embedding, ImagePrompt, Mask, Picture, Refiner
from underpaint.images import Margins, extend_image, fit_image, fit_mask, margin_mask, shrink_image
from underpaint.settings import Settings
from underpaint.studio.cancellation import CANCELLED, Cancellation
from underpaint.studio.embeddings import embedding_of
from underpaint.studio.pictures import Pictures
from underpaint.studio.requests import (
    GUIDE_SIDE_PX,
    RUNNABLE_ARCHITECTURES,
    UnknownScheduler,
    checked_scheduler,
    model_reference,
)
from underpaint.wire import ImageInferenceTask, Outpaint, TaskError, WeightedModel
from underpaint.wire.errors import parameter_code

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What there is to begin with."""

    entry: ModelEntry
    location: Path
    picture: Picture | None
    """The seed image, fitted."""
    seed_file: bytes | None
    """The same as it came."""
    mask: Mask | None = None
    refiner: Refiner | None = None
    vae: Addition | None = None
    loras: tuple[Addition, ...] = ()
    embeddings: tuple[Embedding, ...] = ()
    image_prompts: tuple[ImagePrompt, ...] = ()
    guide_files: tuple[tuple[bytes, ...], ...] = ()
    """Their pictures as they came."""


class Preparation:
    """Checks tasks, and gets what they need."""

    def __init__(self, *, settings: Settings, catalog: Catalog, pictures: Pictures) -> None:
        self._settings = settings
        self._catalog = catalog
        self._pictures = pictures

    async def prepare_unless_cancelled(
        self, task: ImageInferenceTask, owner: str, cancellation: Cancellation
    ) -> Prepared:
        """Like `prepare`, which can take as long as a seed image takes to fetch, but `taskCancelled` where it is."""
        preparing = asyncio.ensure_future(self.prepare(task, owner))
        cancellation.stops(preparing.cancel)
        try:
            return await preparing
        except asyncio.CancelledError:
            if not cancellation.requested:
                raise
            raise TaskError("taskCancelled", CANCELLED) from None

    async def prepare(self, task: ImageInferenceTask, owner: str) -> Prepared:
        """Check everything about a task that its parser cannot know. Raises `TaskError`."""
        if task.check_nsfw and not self._settings.skip_nsfw_check:
            raise TaskError(
                "unsupportedParameter",
                "'checkNSFW' is not supported by this server: it has no safety checker and does not pretend to. Its "
                "setting skip_nsfw_check makes it run such tasks unchecked.",
                parameter="checkNSFW",
            )
        entry = self._resolve(task.model)
        _check_scheduler("scheduler", task.scheduler, entry)
        for index, each in enumerate(task.passes):
            if each.scheduler is not None:
                _check_scheduler(f"passes[{index}].scheduler", each.scheduler, entry)
        _check_text(task, entry)
        _check_pictures(task, entry)
        _check_acceleration(task, entry)
        steps = task.steps or entry.defaults.steps
        refiner_entry = self._refiner(task.refiner, entry, steps) if task.refiner else None
        vae = await self._vae(task, entry)
        loras = await self._loras(task, entry)
        embeddings = await self._embeddings(task, entry)
        adapters = await self._ip_adapters(task, entry)
        picture, seed_file = None, None
        if task.seed_image is not None:
            picture, seed_file = await self._pictures.read_as(
                task.seed_image, lambda image: _fitted(image, task), parameter="seedImage", owner=owner
            )
        mask = None
        if task.mask_image is not None:
            drawn = await self._pictures.read(task.mask_image, parameter="maskImage", owner=owner)
            mask = await asyncio.to_thread(_fitted_mask, drawn, task)
        elif task.outpaint is not None:
            mask = await asyncio.to_thread(_mask_of_margins, task, task.outpaint)
        image_prompts, guide_files = await self._image_prompts(task, adapters, owner)
        location = await _files_of(entry, parameter="model")
        refiner = None
        if task.refiner is not None and refiner_entry is not None:
            files = await _files_of(refiner_entry, parameter="refiner.model")
            refiner = Refiner(
                model=model_reference(refiner_entry, files), start_step=task.refiner.steps_before(steps)
            )
        return Prepared(
            entry=entry,
            location=location,
            picture=picture,
            seed_file=seed_file,
            mask=mask,
            refiner=refiner,
            vae=vae,
            loras=loras,
            embeddings=embeddings,
            image_prompts=image_prompts,
            guide_files=guide_files,
        )

    async def _vae(self, task: ImageInferenceTask, checkpoint: ModelEntry) -> Addition | None:
        if task.vae is None:
            return None
        if not FAMILY_OF_ARCHITECTURE[checkpoint.architecture].vae:
            raise TaskError(
                "unsupportedParameter",
                f"'vae' is not supported by this server for models of {checkpoint.architecture}.",
                parameter="vae",
            )
        return await self._addition(WeightedModel(model=task.vae), "vae", checkpoint, parameter="vae")

    async def _loras(self, task: ImageInferenceTask, checkpoint: ModelEntry) -> tuple[Addition, ...]:
        if task.lora and not FAMILY_OF_ARCHITECTURE[checkpoint.architecture].loras:
            raise TaskError(
                "unsupportedParameter",
                f"'lora' is not supported by this server for models of {checkpoint.architecture}.",
                parameter="lora",
            )
        return tuple(
            [
                await self._addition(each, "lora", checkpoint, parameter=f"lora[{index}].model")
                for index, each in enumerate(task.lora)
            ]
        )

    async def _embeddings(self, task: ImageInferenceTask, checkpoint: ModelEntry) -> tuple[Embedding, ...]:
        if task.embeddings and not FAMILY_OF_ARCHITECTURE[checkpoint.architecture].embeddings:
            raise TaskError(
                "unsupportedParameter",
                f"'embeddings' is not supported by this server for models of {checkpoint.architecture}.",
                parameter="embeddings",
            )
        prompts = [task.positive_prompt, task.negative_prompt]
        for each in task.passes:
            prompts += [prompt for prompt in (each.positive_prompt, each.negative_prompt) if prompt]
        found = []
        for index, asked in enumerate(task.embeddings):
            entry, location, triggers = await self._looked_up(
                partial(embedding_of, self._catalog, asked.model, checkpoint=checkpoint, prompts=prompts),
                parameter=f"embeddings[{index}].model",
            )
            weight = _weight(asked, entry)
            found.append(Embedding(air=entry.air, location=location, weight=weight, triggers=triggers))
        return tuple(found)

    async def _ip_adapters(
        self, task: ImageInferenceTask, checkpoint: ModelEntry
    ) -> Sequence[tuple[ModelEntry, Path, Path]]:
        """Each with its file and the folder of its image encoder."""
        if task.ip_adapters and not FAMILY_OF_ARCHITECTURE[checkpoint.architecture].ip_adapters:
            raise TaskError(
                "unsupportedParameter",
                f"'ipAdapters' is not supported by this server for models of {checkpoint.architecture}.",
                parameter="ipAdapters",
            )

        def found(air: str) -> tuple[ModelEntry, Path, Path]:
            entry, location = additional_model(self._catalog, air, "ipadapter", checkpoint=checkpoint)
            return entry, location, image_encoder_of(entry, location)

        return [
            await self._looked_up(partial(found, asked.model), parameter=f"ipAdapters[{index}].model")
            for index, asked in enumerate(task.ip_adapters)
        ]

    async def _image_prompts(
        self, task: ImageInferenceTask, adapters: Sequence[tuple[ModelEntry, Path, Path]], owner: str
    ) -> tuple[tuple[ImagePrompt, ...], tuple[tuple[bytes, ...], ...]]:
        """What the engine is told of IP-Adapters, and the files of their pictures."""
        prompts, files = [], []
        for index, (asked, (entry, location, encoder)) in enumerate(
            zip(task.ip_adapters, adapters, strict=True)
        ):
            read = [
                await self._pictures.read_as(
                    guide, _guide, parameter=_guide_place(index, number, len(asked.guide_images)), owner=owner
                )
                for number, guide in enumerate(asked.guide_images)
            ]
            files.append(tuple(file for _, file in read))
            prompts.append(
                ImagePrompt(
                    air=entry.air,
                    location=location,
                    encoder=encoder,
                    pictures=tuple(picture for picture, _ in read),
                    weight=asked.weight,
                    combination=asked.combine_method,
                    scaling=asked.embed_scaling,
                    weight_type=asked.weight_type,
                    weight_composition=asked.weight_composition,
                )
            )
        return tuple(prompts), tuple(files)

    async def _addition(
        self, asked: WeightedModel, category: Category, checkpoint: ModelEntry, *, parameter: str
    ) -> Addition:
        entry, location = await self._looked_up(
            partial(additional_model, self._catalog, asked.model, category, checkpoint=checkpoint),
            parameter=parameter,
        )
        return Addition(air=entry.air, location=location, weight=_weight(asked, entry))

    async def _looked_up(self, look_up: Callable[[], Found], *, parameter: str) -> Found:
        """What the catalog says about a model beside the task's own, in a thread, for it may download."""
        try:
            return await asyncio.to_thread(look_up)
        except (ModelNotInstalled, DownloadFailed) as missing:
            raise TaskError("modelNotReady", str(missing), parameter=parameter, type="string") from None
        except ModelListUnreadable as damaged:
            raise TaskError("internalServerError", str(damaged)) from None
        except CatalogError as refusal:
            code = parameter_code("invalid", parameter)
            raise TaskError(code, str(refusal), parameter=parameter, type="string") from None

    def _refiner(self, asked: wire.Refiner, entry: ModelEntry, steps: int) -> ModelEntry:
        """The model that takes over from `entry`."""
        if "refiner" not in RUNNABLE_ARCHITECTURES[entry.architecture]:
            raise TaskError(
                "incompatibleParameters",
                f"'refiner' goes with SDXL models only, and {entry.air} is {entry.architecture}.",
                parameter=["refiner", "model"],
            )
        asked.steps_before(steps)
        return self._resolve(asked.model, parameter="refiner.model", as_refiner=True)

    def _resolve(self, air: str, *, parameter: str = "model", as_refiner: bool = False) -> ModelEntry:
        try:
            return self._catalog.resolve(air, as_refiner=as_refiner)
        except ModelNotInstalled as missing:
            raise TaskError("modelNotReady", str(missing), parameter=parameter, type="string") from None
        except ModelListUnreadable as damaged:
            raise TaskError("internalServerError", str(damaged)) from None
        except CatalogError as refusal:
            code = parameter_code("invalid", parameter)
            raise TaskError(code, str(refusal), parameter=parameter, type="string") from None


def _weight(asked: WeightedModel, entry: ModelEntry) -> float:
    weight = asked.weight if asked.weight is not None else entry.default_weight
    return 1.0 if weight is None else weight


async def _files_of(entry: ModelEntry, *, parameter: str) -> Path:
    try:
        on_disk = entry.files is not None and entry.files.form != "hub"
        return local_files(entry) if on_disk else await asyncio.to_thread(local_files, entry)
    except DownloadFailed as failure:
        raise TaskError("modelNotReady", str(failure), parameter=parameter) from None


def _check_pictures(task: ImageInferenceTask, entry: ModelEntry) -> None:
    """Refuse what a checkpoint whose picture is shown to it, and not begun with, has no use for, or ask for it."""
    if entry.type not in FAMILY_OF_ARCHITECTURE[entry.architecture].without_strength:
        return
    needed = {"seedImage": task.seed_image is not None}
    refused = {"passes": bool(task.passes), "maskMargin": task.mask_margin is not None}
    if entry.type == "inpainting":
        needed["maskImage"] = task.mask_image is not None or task.outpaint is not None
    else:
        refused |= {"maskImage": task.mask_image is not None, "outpaint": task.outpaint is not None}
    for name, given in needed.items():
        if not given:
            raise TaskError(
                parameter_code("missing", name),
                f"'{name}' is required with {entry.name}.",
                parameter=name,
                type="string",
            )
    for name, given in refused.items():
        if given:
            raise TaskError(
                "incompatibleParameters",
                f"'{name}' cannot be used with {entry.name}.",
                parameter=[name, "model"],
            )


def _check_acceleration(task: ImageInferenceTask, entry: ModelEntry) -> None:
    if task.accelerator_options is not None and not FAMILY_OF_ARCHITECTURE[entry.architecture].has_unet:
        raise TaskError(
            "incompatibleParameters",
            f"'acceleratorOptions.deepCache' is for models with a UNet, and {entry.air} is {entry.architecture}.",
            parameter=["acceleratorOptions.deepCache", "model"],
        )


def _check_text(task: ImageInferenceTask, entry: ModelEntry) -> None:
    """Refuse what the text encoders of the model's family cannot do."""
    family = FAMILY_OF_ARCHITECTURE[entry.architecture]
    if task.prompt_weighting is not None and task.prompt_weighting not in family.prompt_weightings:
        known = sorted(family.prompt_weightings)
        raise TaskError(
            "invalidPromptWeighting",
            f"'promptWeighting' must be {' or '.join(known)} with a model of {family.title}.",
            parameter="promptWeighting",
            type="string",
            allowed_values=[*known],
        )
    if task.clip_skip and not family.skips_clip_layers:
        raise TaskError(
            "invalidClipSkip",
            f"'clipSkip' must be 0 with a model of {family.title}: no layer of its encoder can be skipped.",
            parameter="clipSkip",
            type="integer",
            allowed_values=[0],
        )


def _check_scheduler(parameter: str, name: str | None, entry: ModelEntry) -> None:
    try:
        checked_scheduler(name, entry)
    except UnknownScheduler as unknown:
        raise TaskError(
            parameter_code("invalid", parameter),
            f"{unknown}; 'allowedValues' lists those it can run with.",
            parameter=parameter,
            type="string",
            allowed_values=list(unknown.known),
        ) from None


def _fitted(image: Image.Image, task: ImageInferenceTask) -> Picture:
    if task.outpaint is not None:
        return _extended(image, task, task.outpaint)
    fitted = fit_image(image, width_px=task.width, height_px=task.height, mode=task.fit)
    return np.asarray(fitted, dtype=np.uint8)


def _guide(image: Image.Image) -> Picture:
    return np.asarray(shrink_image(image, longest_px=GUIDE_SIDE_PX), dtype=np.uint8)


def _guide_place(adapter: int, number: int, guides: int) -> str:
    name = f"ipAdapters[{adapter}]"
    return f"{name}.guideImages[{number}]" if guides > 1 else f"{name}.guideImage"


def _fitted_mask(drawn: Image.Image, task: ImageInferenceTask) -> Mask:
    fitted = fit_mask(drawn, width_px=task.width, height_px=task.height, mode=task.fit)
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


def _mask_of_margins(task: ImageInferenceTask, outpaint: Outpaint) -> Mask:
    mask = margin_mask(task.width, task.height, _margins(outpaint), blur_px=outpaint.blur)
    return np.asarray(mask, dtype=np.uint8)


def _margins(outpaint: Outpaint) -> Margins:
    return Margins(
        top_px=outpaint.top, right_px=outpaint.right, bottom_px=outpaint.bottom, left_px=outpaint.left
    )
