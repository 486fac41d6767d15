"""One pass of a job down the noise schedule: its sampler, and what leads it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from underpaint.diffusion.deep_cache import DeepFeatures
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family
from underpaint.diffusion.sampler import Sampler, build_scheduler
from underpaint.diffusion.strength import steps_to_run
from underpaint.engine.additions import Acting
from underpaint.engine.controlnets import ActingControl
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.messages import DeepCache, JobRequest, Pass
from underpaint.engine.prompts import encoded_prompts


class Leg:
    """One pass of a job: a sampler of its own, and what leads it."""

    def __init__(
        self,
        asked: Pass,
        request: JobRequest,
        model: Family,
        encodings: ByteBudgetCache,
        *,
        additions: Acting,
        number: int,
        generator: torch.Generator,
        first: int = 0,
        last: int | None = None,
    ) -> None:
        family = FAMILY_OF_ARCHITECTURE[request.model.architecture]
        # Not one noise twice: what is the same in every pass adds up.
        seed = (request.seed + number) % 2**63
        scheduler = build_scheduler(
            family.schedulers[asked.scheduler],
            {**model.scheduler_config, **family.scheduler_config},
            seed=seed,
        )
        strength = None if request.picture is None and number == 0 else asked.strength
        self.sampler = Sampler(
            scheduler,
            steps=asked.steps,
            strength=strength,
            generator=generator,
            first=first,
            last=last,
            schedule=model.schedule(
                steps=asked.steps, width_px=request.width_px, height_px=request.height_px
            ),
        )
        self.from_noise = strength is None or strength >= 1.0
        """Whether it begins with noise alone, where a mask says what of the picture comes back."""
        self.guidance_scale = asked.guidance_scale
        self.loras = additions.loras
        self.image_prompts = additions.image_prompts
        self.prompts = encoded_prompts(asked, request, model, encodings, additions)
        self.controls = additions.controls
        # Those of a whole run, also where a refiner takes over: it counts from the beginning to the end.
        left_over = 0 if last is None else asked.steps - last
        self._evaluations = self.sampler.forwards * (1 + left_over / max(1, self.sampler.steps))
        cache = deep_cache_of(request)
        self._interval = 1 if cache is None else cache.interval
        self.deep = [] if cache is None else [DeepFeatures(branch=cache.branch) for _ in self.prompts]
        """One for each row."""

    @property
    def runs_whole(self) -> bool:
        """Whether the next evaluation runs the whole model."""
        return self._evaluated % self._interval == 0

    @property
    def acting_controls(self) -> Sequence[ActingControl]:
        """The ControlNets that act in the next evaluation."""
        begin, end = self._evaluated / self._evaluations, (self._evaluated + 1) / self._evaluations
        return [control for control in self.controls if control.acts_in(begin, end)]

    @property
    def is_plain(self) -> bool:
        """Whether its passes are those of the model as it is, which a compiled form of it can run."""
        return not (self.loras or self.image_prompts.conditional or self.controls or self.deep)

    @property
    def _evaluated(self) -> int:
        """Model evaluations behind it."""
        return self.sampler.forwards - self.sampler.forwards_left

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `Trajectory.state` gave, in a leg that has not begun."""
        self.sampler.restore(state["sampler"])
        for deep, values in zip(self.deep, state["deep"], strict=True):
            deep.values = values


def steps_of(asked: Pass) -> int:
    """Steps of a pass that will run; 0 for one that leaves everything as it is."""
    return steps_to_run(asked.steps, asked.strength)


def deep_cache_of(request: JobRequest) -> DeepCache | None:
    """How a job takes shortcuts. Not for pictures in tiles, each of which has deep layers of its own."""
    return request.deep_cache if request.tile_px is None else None
