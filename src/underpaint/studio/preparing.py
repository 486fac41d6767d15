"""What an imageInference task needs before it can run: its models' files, and its pictures at the right size."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from underpaint import wire
from underpaint.blocking import in_thread
from underpaint.catalog import Catalog, ModelEntry
from underpaint.engine.messages import Addition, Control, Embedding, ImagePrompt, Mask, Picture, Refiner
from underpaint.studio.additions import Additions
from underpaint.studio.cancellation import CANCELLED, Cancellation
from underpaint.studio.downloads import Downloads
from underpaint.studio.fitting import fitted_mask, fitted_picture, outpaint_mask
from underpaint.studio.incoming import PictureSource
from underpaint.studio.lookups import checkpoint, files_of
from underpaint.studio.model_checks import check_model_can
from underpaint.studio.pictures import Pictures
from underpaint.studio.reference_images import read_references, with_size
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES, model_reference
from underpaint.wire import ImageInferenceTask, TaskError


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What there is to begin with."""

    task: ImageInferenceTask
    """With the size of its picture, if that was left to a reference image."""
    entry: ModelEntry
    location: Path
    seed: PictureSource | None
    """Where the seed image is."""
    picture: Picture | None = None
    """The seed image, fitted, once it was read."""
    seed_file: bytes | None = None
    """The same as it came."""
    mask: Mask | None = None
    refiner: Refiner | None = None
    vae: Addition | None = None
    loras: tuple[Addition, ...] = ()
    embeddings: tuple[Embedding, ...] = ()
    image_prompts: tuple[ImagePrompt, ...] = ()
    guide_files: tuple[tuple[bytes, ...], ...] = ()
    """Their pictures as they came."""
    references: tuple[Picture, ...] = ()
    """Reference images, each in a size that the model looks at."""
    reference_files: tuple[bytes, ...] = ()
    """The same as they came."""
    controls: tuple[Control, ...] = ()
    map_files: tuple[bytes, ...] = ()
    """Their maps as they came."""


class Preparation:
    """Checks tasks, and gets what they need."""

    def __init__(self, *, catalog: Catalog, pictures: Pictures) -> None:
        self._catalog = catalog
        self._pictures = pictures
        self._downloads = Downloads()
        self._additions = Additions(catalog, pictures, self._downloads)

    async def prepare_unless_cancelled(
        self, task: ImageInferenceTask, owner: str, cancellation: Cancellation
    ) -> Prepared:
        """Like `prepare`, which can take as long as a seed image takes to fetch, but `taskCancelled` where it is."""
        limit = asyncio.timeout(None)

        def stop() -> None:
            if not limit.expired():
                limit.reschedule(0)

        try:
            async with limit:
                cancellation.stops(stop)
                try:
                    return await self.prepare(task, owner)
                finally:
                    cancellation.stops(lambda: None)
        except TimeoutError:
            if not limit.expired():
                raise
            raise TaskError("taskCancelled", CANCELLED) from None

    def with_seed(self, prepared: Prepared) -> Prepared:
        """What `prepare` gave, with its seed image: it is read apart, so that the thread that reads it can go on with
        what comes next. For `IncomingPictures.in_decoding_thread`. Raises `TaskError`.
        """
        if prepared.seed is None:
            return prepared
        image, seed_file = self._pictures.incoming.read_blocking(prepared.seed)
        return replace(prepared, picture=fitted_picture(image, prepared.task), seed_file=seed_file)

    async def prepare(self, task: ImageInferenceTask, owner: str) -> Prepared:
        """Check everything about a task that its parser cannot know, but its seed image. Raises `TaskError`."""
        entry = checkpoint(self._catalog, task.model, parameter="model")
        check_model_can(task, entry)
        steps = task.steps or entry.defaults.steps
        refiner_entry = self._refiner(task.refiner, entry, steps) if task.refiner else None
        vae = await self._additions.vae(task, entry)
        loras = await self._additions.loras(task, entry)
        embeddings = await self._additions.embeddings(task, entry)
        adapters = await self._additions.ip_adapters(task, entry)
        references, reference_files = await read_references(task, entry, self._pictures, owner)
        task = with_size(task, references)
        controllers = await self._additions.controlnets(task, entry, steps=steps)
        seed = None
        if task.seed_image is not None:
            seed = await self._pictures.incoming.locate(task.seed_image, parameter="seedImage", owner=owner)
        mask = None
        if task.mask_image is not None:
            drawn = await self._pictures.incoming.read(task.mask_image, parameter="maskImage", owner=owner)
            mask = await in_thread(fitted_mask, drawn, task)
        elif task.outpaint is not None:
            mask = await in_thread(outpaint_mask, task, task.outpaint)
        image_prompts, guide_files = await self._additions.image_prompts(adapters, owner)
        controls, map_files = await self._additions.controls(controllers, task, owner)
        location = await files_of(entry, self._downloads, parameter="model")
        refiner = None
        if task.refiner is not None and refiner_entry is not None:
            files = await files_of(refiner_entry, self._downloads, parameter="refiner.model")
            refiner = Refiner(
                model=model_reference(refiner_entry, files), start_step=task.refiner.steps_before(steps)
            )
        return Prepared(
            task=task,
            entry=entry,
            location=location,
            seed=seed,
            mask=mask,
            refiner=refiner,
            vae=vae,
            loras=loras,
            embeddings=embeddings,
            image_prompts=image_prompts,
            guide_files=guide_files,
            references=references,
            reference_files=reference_files,
            controls=controls,
            map_files=map_files,
        )

    def _refiner(self, asked: wire.Refiner, entry: ModelEntry, steps: int) -> ModelEntry:
        """The model that takes over from `entry`."""
        if "refiner" not in RUNNABLE_ARCHITECTURES[entry.architecture]:
            raise TaskError(
                "incompatibleParameters",
                f"'refiner' goes with SDXL models only, and {entry.air} is {entry.architecture}.",
                parameter=["refiner", "model"],
            )
        asked.steps_before(steps)
        return checkpoint(self._catalog, asked.model, parameter="refiner.model", as_refiner=True)
