"""The models in memory: loaded when first needed, the least recently used one dropped when there are too many."""

import ctypes
import gc
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable

import torch

from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family
from underpaint.engine.messages import ModelReference

log = logging.getLogger(__name__)


class LoadedModels:
    """At most `limit` models on one device."""

    def __init__(
        self,
        *,
        device: torch.device,
        dtype: torch.dtype,
        limit: int,
        on_drop: Callable[[ModelReference], None] = lambda _: None,
    ) -> None:
        """Start without any.

        Args:
            device: where they go.
            dtype: precision of their weights.
            limit: how many stay at once.
            on_drop: called with each that goes.
        """
        self._device = device
        self._dtype = dtype
        self._limit = limit
        self._on_drop = on_drop
        self._models: OrderedDict[ModelReference, Family] = OrderedDict()

    def __contains__(self, reference: ModelReference) -> bool:
        return reference in self._models

    def get(self, reference: ModelReference) -> Family:
        """The model, loaded if it is not yet.

        Raises:
            ModelLoadError: its files cannot be used.
        """
        if reference in self._models:
            self._models.move_to_end(reference)
            return self._models[reference]
        # Room first: two large models at once may not fit where one does.
        while len(self._models) >= self._limit:
            # Its name only: a variable that held the model would keep its memory until after the next one is loaded.
            dropped = next(iter(self._models))
            del self._models[dropped]
            self._on_drop(dropped)
            self._release()
        started = time.monotonic()
        family = FAMILY_OF_ARCHITECTURE[reference.architecture].load_class()
        model = family.load(
            reference.location, config=reference.config, device=self._device, dtype=self._dtype
        )
        log.info("loaded %s in %.1f s", reference.location.name, time.monotonic() - started)
        self._models[reference] = model
        return model

    def _release(self) -> None:
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return_freed_memory()


def return_freed_memory() -> None:
    """Give freed memory back to the system, where the C library has a way to.

    glibc keeps it otherwise: without this, a process that swaps models grows with every swap.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
