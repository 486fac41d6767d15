"""A job in the engine: what of it is known without its model."""

import time
from collections.abc import Hashable
from dataclasses import replace

from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.strength import steps_to_run
from underpaint.engine.leg import deep_cache_of, steps_of
from underpaint.engine.messages import JobRequest, ModelReference
from underpaint.engine.prompts import uses_guidance
from underpaint.engine.tiles import tiles_of
from underpaint.engine.trajectory import Trajectory


class Job:
    """A request, and its trajectory once the model has been at hand."""

    def __init__(self, request: JobRequest) -> None:
        self.request = request = _without_idle_base(request)
        self.trajectory: Trajectory | None = None
        self.passes_waited = 0
        """Passes since its last one, or since its arrival."""
        self.controlnets: frozenset[Hashable] = frozenset(control.network for control in request.controls)
        """Networks that work beside the model in its passes, by what tells one from another."""
        self.kept_s = time.monotonic()
        """When its state was last kept; before, when it came."""
        self.steps = sum(steps_of(asked) for asked in request.passes)
        """Steps that will run in all passes."""
        tiles = tiles_of(request)
        self._tiles = 1 if tiles is None else len(tiles.corners)
        self.forwards = self.steps * self._tiles + 1
        """Passes in all, as if its sampler were of first order, and one for the decoding of its picture."""

    @property
    def is_prepared(self) -> bool:
        """Whether its pictures and prompts are encoded for the next pass."""
        return self.trajectory is not None and not self.trajectory.waits_for_refiner

    @property
    def forwards_left(self) -> int:
        """Passes still to come; before the trajectory exists, as if its sampler were of first order. The decoding of
        its picture counts as one.
        """
        return self.forwards if self.trajectory is None else self.trajectory.forwards_left + 1

    @property
    def is_to_be_decoded(self) -> bool:
        """Whether all of its passes are behind it."""
        return self.trajectory is not None and not self.trajectory.forwards_left

    @property
    def group(self) -> tuple[object, ...]:
        """Jobs of equal groups can share a forward pass if their prompts, too, are of one length."""
        if self.trajectory is not None:
            shortcut = self.trajectory.shortcut
        else:
            cache = deep_cache_of(self.request)
            shortcut = None if cache is None else (cache.branch, True)
        tile_px = self.request.tile_px
        sizes = tuple(picture.shape for picture in self.request.reference_pictures)
        return (
            self.model,
            tile_px or self.request.width_px,
            tile_px or self.request.height_px,
            shortcut,
            sizes,
        )

    def runs_compiled(self, *, is_there: bool) -> bool:
        """Whether a compiled form of its model runs the next pass.

        Args:
            is_there: whether there is one now, which says it of jobs that have not begun with that model.
        """
        if self.trajectory is not None and self.is_prepared:
            return self.trajectory.runs_compiled
        if deep_cache_of(self.request) is not None:
            return False
        request = self.request
        return is_there and (
            self.trajectory is not None or not (request.loras or request.image_prompts or request.controls)
        )

    @property
    def model(self) -> ModelReference:
        """Of the next forward pass."""
        if self.request.refiner is None or self.trajectory is None or not self.trajectory.is_refining:
            return self.request.model
        return self.request.refiner.model

    @property
    def pixels(self) -> int:
        """Of its picture, or of a tile of it, and of what the model looks at beside: what a row of a pass takes. A
        prompt counts with that, once it is encoded, in models that have it in one sequence with the picture: pictures
        in place of one, by FLUX.1 Redux, are hundreds of tokens each.
        """
        beside: int = sum(picture.shape[0] * picture.shape[1] for picture in self.request.reference_pictures)
        if self.trajectory is not None:
            family = FAMILY_OF_ARCHITECTURE[self.model.architecture]
            beside += self.trajectory.tokens * family.pixels_per_token
        if self.request.tile_px is not None:
            return self.request.tile_px**2 + beside
        return self.request.width_px * self.request.height_px + beside

    @property
    def row_count(self) -> int:
        """Rows that it takes in a forward pass; before the trajectory exists, as if guidance took one of its own."""
        if self.trajectory is not None:
            return self.trajectory.row_count
        return 2 if uses_guidance(self.request.guidance_scale) else 1


def _without_idle_base(request: JobRequest) -> JobRequest:
    """The same request of the refiner alone, where its strength leaves no step to the model before it."""
    if request.refiner is None or request.picture is None:
        return request
    skipped = request.steps - steps_to_run(request.steps, request.strength)
    if skipped < request.refiner.start_step:
        return request
    # What acts upon the model before it does not act upon the refiner.
    return replace(
        request, model=request.refiner.model, refiner=None, loras=(), image_prompts=(), controls=()
    )
