"""The models in memory: loaded when first needed, the least recently used ones dropped when memory is short."""

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

import torch

from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family, ModelLoadError
from underpaint.engine.memory import free_bytes, readable, release_memory, total_bytes
from underpaint.engine.messages import ModelReference
from underpaint.engine.weights import WeightsForm, weights_bytes

log = logging.getLogger(__name__)

DEFAULT_SHARE = 0.5
"""Of the device's memory, for the weights of models, where no budget is set. The rest is for what passes compute."""


class LoadedModels:
    """Models on one device, of so many bytes of weights in all."""

    def __init__(
        self,
        *,
        device: torch.device,
        form_of: Callable[[str], WeightsForm],
        budget_bytes: int | None = None,
        on_load: Callable[[Family, str], None] = lambda model, name: None,
        on_drop: Callable[[ModelReference], None] = lambda _: None,
    ) -> None:
        """Start without any.

        Args:
            device: where they go.
            form_of: how the weights of models of an architecture are held.
            budget_bytes: of all their weights; a model that alone takes more stays alone. None for half of what the
                device has.
            on_load: called with each that comes, and its name.
            on_drop: called with each that goes.
        """
        self._device = device
        self._form_of = form_of
        self._budget_bytes = (
            int(total_bytes(device) * DEFAULT_SHARE) if budget_bytes is None else budget_bytes
        )
        self._on_load = on_load
        self._on_drop = on_drop
        self._models: OrderedDict[ModelReference, Family] = OrderedDict()
        self._sizes: dict[ModelReference, int] = {}
        self._set_aside = 0

    def __contains__(self, reference: ModelReference) -> bool:
        return reference in self._models

    @property
    def names(self) -> tuple[str, ...]:
        """What those in memory are called, the least recently used one first."""
        return tuple(reference.name or reference.location.name for reference in self._models)

    def get(self, reference: ModelReference) -> Family:
        """The model, loaded if it is not yet.

        Raises:
            ModelLoadError: its files cannot be used, or are more than there is memory for.
        """
        if reference in self._models:
            self._models.move_to_end(reference)
            return self._models[reference]
        form = self._form_of(reference.architecture)
        size = weights_bytes(reference.location, form.dtype, config=reference.config) * form.copies
        self._make_room(size, reference.location.name)
        started = time.monotonic()
        family = FAMILY_OF_ARCHITECTURE[reference.architecture].load_class()
        try:
            model = family.load(
                reference.location, config=reference.config, device=self._device, dtype=form.dtype
            )
        except (torch.OutOfMemoryError, MemoryError) as failure:
            raise ModelLoadError(
                f"{reference.location.name} needs about {readable(size)} of memory, which there is not"
            ) from failure
        log.info(
            "loaded %s in %.1f s, %s", reference.location.name, time.monotonic() - started, readable(size)
        )
        self._on_load(model, reference.location.name)
        self._models[reference] = model
        self._sizes[reference] = size
        return model

    def set_aside(self, size: int, name: str) -> None:
        """Keep so much of the budget for weights that are no checkpoint's; a negative size gives it back.

        Raises:
            ModelLoadError: there is not so much memory, without any model.
        """
        if size > 0:
            self._make_room(size, name)
        self._set_aside += size

    def _make_room(self, size: int, name: str) -> None:
        """Before loading: two large models at once may not fit where one does."""
        while self._models and sum(self._sizes.values()) + self._set_aside + size > self._budget_bytes:
            self._drop_oldest()
        while (free := free_bytes(self._device)) < size:
            if not self._models:
                raise ModelLoadError(
                    f"{name} needs about {readable(size)} of memory, and {readable(free)} are free"
                )
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        # Its name only: a variable that held the model would keep its memory until after the next one is loaded.
        dropped = next(iter(self._models))
        del self._models[dropped]
        log.info("dropped %s, for want of memory", dropped.location.name)
        del self._sizes[dropped]
        self._on_drop(dropped)
        gc.collect()
        release_memory(self._device)
