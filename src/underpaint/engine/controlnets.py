"""The ControlNets of a job, and in which of its steps they act."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from underpaint.diffusion.controlnet import Control, ControlNet, TakesControls
from underpaint.diffusion.family import Family, ModelLoadError
from underpaint.diffusion.mask_crop import MaskCrop
from underpaint.engine import messages
from underpaint.engine.messages import JobRequest, Mask
from underpaint.engine.models import LoadedModels
from underpaint.engine.refusals import refusing


@dataclass(frozen=True, kw_only=True, eq=False)
class ActingControl:
    """A ControlNet of one job."""

    asked: messages.Control
    controlnet: Callable[[], ControlNet]
    """The network, loaded if it is not any more: what waits for its turn holds no memory."""
    map: Tensor = field(repr=False)
    """Of the whole picture, see `Control.map`."""
    fills_pass: bool

    def acts_in(self, begin: float, end: float) -> bool:
        """Whether it acts in a step that reaches from one share of the steps to another, as diffusers decides it."""
        return begin >= self.asked.start and end <= self.asked.end

    def control(self, map: Tensor) -> Control:
        """What it tells rows that work on this map, which is the whole one or a tile of it."""
        return Control(
            controlnet=self.controlnet(),
            map=map,
            weight=self.asked.weight,
            mode=self.asked.mode,
            fills_pass=self.fills_pass,
        )


def acting_controls(
    request: JobRequest,
    model: Family,
    models: LoadedModels,
    *,
    strict: bool,
    crop: MaskCrop | None,
    mask: Mask | None,
) -> Sequence[ActingControl]:
    """The ControlNets of a job, loaded.

    Args:
        request: of the job.
        model: that it runs on, as `models` gave it last.
        models: in memory.
        strict: whether the sums of a row have to be the same whoever shares its passes.
        crop: the part of the picture that the job works on; None for all of it.
        mask: of that part.

    Raises:
        ModelLoadError: one of them cannot be used with the model.
    """
    if not request.controls:
        return ()
    if not isinstance(model, TakesControls):
        raise ModelLoadError(f"models of {request.model.architecture} take no ControlNet")
    acting = []
    for index, asked in enumerate(request.controls):
        get = _getter(request, asked, models)
        with refusing("controls", index):
            model.require_fitting(get())
        picture = asked.map if crop is None else crop.enlarge(asked.map)
        map = model.control_map(picture)
        if asked.hides_masked and mask is not None:
            # As the authors of ControlNet 1.1 train it, and diffusers' documentation has it.
            map[:, torch.from_numpy(mask > 127).to(map.device)] = -1.0
        acting.append(ActingControl(asked=asked, controlnet=get, map=map, fills_pass=strict))
    return acting


def _getter(request: JobRequest, asked: messages.Control, models: LoadedModels) -> Callable[[], ControlNet]:
    def load() -> ControlNet:
        # Not the one that the job began with: this would keep it from being dropped.
        model: Any = models.loaded(request.model)
        assert isinstance(model, TakesControls), "it has been asked for, and takes them"
        loaded: ControlNet = model.load_controlnet(asked.location, pools=asked.pools)
        return loaded

    return lambda: models.beside(request.model, asked.network, asked.location, load)
