"""Work for which memory does not suffice is done once more, without all that can be loaded again."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from underpaint.diffusion.out_of_memory import is_out_of_memory
from underpaint.engine.additions import LoadedAdditions
from underpaint.engine.memory import release_memory
from underpaint.engine.messages import ModelReference
from underpaint.engine.models import LoadedModels

log = logging.getLogger(__name__)

Made = TypeVar("Made")


class Shortage:
    """What one engine does in it."""

    def __init__(self, device: torch.device, additions: LoadedAdditions, models: LoadedModels) -> None:
        """Name what can be loaded again.

        Args:
            device: whose memory it is.
            additions: what acts upon models; what the running jobs hold stays.
            models: in memory.
        """
        self._device = device
        self._additions = additions
        self._models = models

    def give_up(self, model: ModelReference) -> bool:
        """Let go of something that is not for work with this model; whether there was anything."""
        return self._additions.release() or self._models.drop_idle(model)

    def within_memory(self, model: ModelReference, work: Callable[[], Made]) -> Made:
        """What work with a model makes.

        Args:
            model: which stays.
            work: is done again from its beginning, once, if it fails for want of memory.
        """
        try:
            return work()
        except Exception as failure:
            if not is_out_of_memory(failure):
                raise
            # In words alone: whoever keeps the record would keep what the work had computed.
            log.warning("letting go of what can be loaded again, for want of memory: %s", str(failure))
        # Not in the handler: there the traceback holds what the work had computed.
        while self.give_up(model):
            pass
        release_memory(self._device)
        return work()
