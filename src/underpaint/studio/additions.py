"""The models that a task names beside its own, such as LoRAs, and the pictures that come with them."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from underpaint.catalog import Catalog, ModelEntry
from underpaint.catalog.additions import additional_model
from underpaint.catalog.entry import Category
from underpaint.catalog.image_encoders import image_encoder_of
from underpaint.engine.messages import Addition, Control, Embedding, ImagePrompt, Picture
from underpaint.images import shrink_image
from underpaint.studio.downloads import Downloads
from underpaint.studio.embeddings import embedding_of
from underpaint.studio.fitting import fitted_map
from underpaint.studio.lookups import refusing_as
from underpaint.studio.pictures import Pictures
from underpaint.studio.requests import GUIDE_SIDE_PX, control_traits
from underpaint.wire import ControlNet, ImageInferenceTask, IPAdapter, WeightedModel

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An IP-Adapter that a task names, found."""

    asked: IPAdapter
    entry: ModelEntry
    location: Path
    """Its file."""
    encoder: Path
    """The folder of its image encoder."""


@dataclass(frozen=True, kw_only=True)
class Controller:
    """A ControlNet that a task names, found."""

    asked: ControlNet
    entry: ModelEntry
    location: Path
    """Its file or folder."""
    start: float
    end: float
    """From which share of the steps to which it acts."""


class Additions:
    """Looks up what a task names for its checkpoint. Every method raises `TaskError`.

    Models first, all of them, and only then pictures: a model that is not there costs no download of a picture.
    """

    def __init__(self, catalog: Catalog, pictures: Pictures, downloads: Downloads) -> None:
        self._catalog = catalog
        self._pictures = pictures
        self._downloads = downloads

    async def vae(self, task: ImageInferenceTask, checkpoint: ModelEntry) -> Addition | None:
        """What takes the place of the checkpoint's own VAE."""
        if task.vae is None:
            return None
        return await self._addition(WeightedModel(model=task.vae), "vae", checkpoint, parameter="vae")

    async def loras(self, task: ImageInferenceTask, checkpoint: ModelEntry) -> tuple[Addition, ...]:
        """LoRAs with their weights."""
        return tuple(
            [
                await self._addition(each, "lora", checkpoint, parameter=f"lora[{index}].model")
                for index, each in enumerate(task.lora)
            ]
        )

    async def embeddings(self, task: ImageInferenceTask, checkpoint: ModelEntry) -> tuple[Embedding, ...]:
        """Textual inversions, each of which has to stand in a prompt."""
        prompts = [task.positive_prompt, task.negative_prompt]
        for each in task.passes:
            prompts += [prompt for prompt in (each.positive_prompt, each.negative_prompt) if prompt]
        found = []
        for index, asked in enumerate(task.embeddings):
            entry, location, triggers = await self._looked_up(
                ("embeddings", asked.model, checkpoint.air, *prompts),
                partial(embedding_of, self._catalog, asked.model, checkpoint=checkpoint, prompts=prompts),
                parameter=f"embeddings[{index}].model",
            )
            weight = _weight(asked, entry)
            found.append(Embedding(air=entry.air, location=location, weight=weight, triggers=triggers))
        return tuple(found)

    async def ip_adapters(self, task: ImageInferenceTask, checkpoint: ModelEntry) -> list[Adapter]:
        """IP-Adapters, without their pictures yet."""

        def found(asked: IPAdapter) -> Adapter:
            entry, location = additional_model(self._catalog, asked.model, "ipadapter", checkpoint=checkpoint)
            encoder = image_encoder_of(entry, location)
            return Adapter(asked=asked, entry=entry, location=location, encoder=encoder)

        return [
            replace(
                await self._looked_up(
                    ("ipadapter", asked.model, checkpoint.air),
                    partial(found, asked),
                    parameter=f"ipAdapters[{index}].model",
                ),
                asked=asked,
            )
            for index, asked in enumerate(task.ip_adapters)
        ]

    async def image_prompts(
        self, adapters: Sequence[Adapter], owner: str
    ) -> tuple[tuple[ImagePrompt, ...], tuple[tuple[bytes, ...], ...]]:
        """What the engine is told of IP-Adapters, and the files of their pictures."""
        prompts, files = [], []
        for index, adapter in enumerate(adapters):
            asked = adapter.asked
            read = [
                await self._pictures.incoming.read_as(
                    guide, _guide, parameter=_guide_place(index, number, len(asked.guide_images)), owner=owner
                )
                for number, guide in enumerate(asked.guide_images)
            ]
            files.append(tuple(file for _, file in read))
            prompts.append(
                ImagePrompt(
                    air=adapter.entry.air,
                    location=adapter.location,
                    encoder=adapter.encoder,
                    pictures=tuple(picture for picture, _ in read),
                    weight=asked.weight,
                    combination=asked.combine_method,
                    scaling=asked.embed_scaling,
                    weight_type=asked.weight_type,
                    weight_composition=asked.weight_composition,
                )
            )
        return tuple(prompts), tuple(files)

    async def controlnets(
        self, task: ImageInferenceTask, checkpoint: ModelEntry, *, steps: int
    ) -> list[Controller]:
        """ControlNets, without their maps yet."""
        spans = [
            asked.shares(steps, name=f"controlNet[{index}]") for index, asked in enumerate(task.control_net)
        ]
        found = []
        for index, (asked, (start, end)) in enumerate(zip(task.control_net, spans, strict=True)):
            entry, location = await self._looked_up(
                ("controlnet", asked.model, checkpoint.air),
                partial(additional_model, self._catalog, asked.model, "controlnet", checkpoint=checkpoint),
                parameter=f"controlNet[{index}].model",
            )
            found.append(Controller(asked=asked, entry=entry, location=location, start=start, end=end))
        return found

    async def controls(
        self, controllers: Sequence[Controller], task: ImageInferenceTask, owner: str
    ) -> tuple[tuple[Control, ...], tuple[bytes, ...]]:
        """What the engine is told of ControlNets, and the files of their maps."""
        controls, files = [], []
        for index, found in enumerate(controllers):
            map, file = await self._pictures.incoming.read_as(
                found.asked.guide_image,
                lambda image: fitted_map(image, task),
                parameter=f"controlNet[{index}].guideImage",
                owner=owner,
            )
            files.append(file)
            controls.append(
                Control(
                    air=found.entry.air,
                    location=found.location,
                    map=map,
                    weight=found.asked.weight,
                    start=found.start,
                    end=found.end,
                    mode=found.asked.control_mode,
                    **control_traits(found.entry),
                )
            )
        return tuple(controls), tuple(files)

    async def _addition(
        self, asked: WeightedModel, category: Category, checkpoint: ModelEntry, *, parameter: str
    ) -> Addition:
        entry, location = await self._looked_up(
            (category, asked.model, checkpoint.air),
            partial(additional_model, self._catalog, asked.model, category, checkpoint=checkpoint),
            parameter=parameter,
        )
        return Addition(air=entry.air, location=location, weight=_weight(asked, entry))

    async def _looked_up(self, thing: Hashable, look_up: Callable[[], Found], *, parameter: str) -> Found:
        """What the catalog says about a model, which it may have to download."""
        with refusing_as(parameter):
            return await self._downloads.get(thing, look_up)


def _weight(asked: WeightedModel, entry: ModelEntry) -> float:
    weight = asked.weight if asked.weight is not None else entry.default_weight
    return 1.0 if weight is None else weight


def _guide(image: Image.Image) -> Picture:
    return np.asarray(shrink_image(image, longest_px=GUIDE_SIDE_PX), dtype=np.uint8)


def _guide_place(adapter: int, number: int, guides: int) -> str:
    name = f"ipAdapters[{adapter}]"
    return f"{name}.guideImages[{number}]" if guides > 1 else f"{name}.guideImage"
