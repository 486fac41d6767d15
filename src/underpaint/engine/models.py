"""The models in memory: loaded when first needed, the least recently used one dropped when there are too many."""

import gc
import logging
import time
from collections import OrderedDict

import torch

from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine.messages import ModelReference

log = logging.getLogger(__name__)


class LoadedModels:
    """At most `limit` models on one device."""

    def __init__(self, *, device: torch.device, dtype: torch.dtype, limit: int) -> None:
        self._device = device
        self._dtype = dtype
        self._limit = limit
        self._models: OrderedDict[ModelReference, StableDiffusion] = OrderedDict()

    def __contains__(self, reference: ModelReference) -> bool:
        return reference in self._models

    def get(self, reference: ModelReference) -> StableDiffusion:
        """The model, loaded if it is not yet.

        Raises:
            ModelLoadError: its files cannot be used.
        """
        if reference in self._models:
            self._models.move_to_end(reference)
            return self._models[reference]
        # Room first: two large models at once may not fit where one does.
        while len(self._models) >= self._limit:
            self._models.popitem(last=False)
            self._release()
        started = time.monotonic()
        family = FAMILY_OF_ARCHITECTURE[reference.architecture]
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
