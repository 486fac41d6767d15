"""One request's walk down the noise schedule.

A diffusers scheduler object carries the state of a trajectory, which is why pipelines that share one break under
concurrency. Here every request owns a scheduler and a noise stream, and the model knows neither.
"""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from underpaint.diffusion.quiet import quiet_arithmetic, quiet_libraries
from underpaint.diffusion.schedulers import SchedulerChoice
from underpaint.diffusion.strength import steps_to_run

_SIGMA_SPACINGS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")

_MADE_AGAIN = frozenset({"_internal_dict", "_trained", "noise_sampler"})
"""Attributes of schedulers that are not state: configurations, and the Brownian tree of DPM++ SDE, which is a function
of the request's seed and does not depend on what it was asked before."""


def build_scheduler(choice: SchedulerChoice, config: Mapping[str, Any], *, seed: int) -> Any:
    """A fresh diffusers scheduler for one request.

    Args:
        choice: class and options that the request asks for.
        config: the model's own scheduler configuration; what `choice` does not name comes from it.
        seed: of the request, for the one sampler that draws its noise from a seed of its own (DPM++ SDE).
    """
    with quiet_libraries():
        from underpaint.diffusion.scheduler_classes import scheduler_class

    own = config.get("_class_name")
    chosen = scheduler_class(choice.class_name or config["_class_name"], trained_for=own)
    known = {*inspect.signature(chosen.__init__).parameters, *getattr(chosen, "takes_besides", ())}
    options = {name: value for name, value in choice.options.items() if name in known}
    if any(name in options for name in _SIGMA_SPACINGS):
        # A checkpoint may be configured for one spacing of the sigmas; the request's choice replaces it.
        options = {**{name: False for name in _SIGMA_SPACINGS if name in known}, **options}
    if "noise_sampler_seed" in known:
        options["noise_sampler_seed"] = seed
    kept = {name: value for name, value in config.items() if name in known or name.startswith("_")}
    with quiet_libraries():
        return chosen.from_config(kept, **options)


class Sampler:
    """Latents of one request on their way from noise to picture.

    Noise is drawn on the CPU from the request's seed, in the order in which diffusers' pipelines draw it, so a picture
    depends neither on its neighbours in a batch nor on the device.
    """

    def __init__(
        self,
        scheduler: Any,
        *,
        steps: int,
        strength: float | None,
        generator: torch.Generator,
        first: int = 0,
        last: int | None = None,
        schedule: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Lay out the timesteps.

        Args:
            scheduler: a scheduler that nothing else uses.
            steps: length of the whole schedule, at least 1.
            strength: above 0 and up to 1 for image-to-image; None for text-to-image, which runs the whole schedule.
            generator: the request's noise stream, on the CPU.
            first: steps of the whole schedule that are another sampler's, from the beginning on.
            last: step of the whole schedule before which this one stops, for another to go on; None for the end.
            schedule: what the model's family has to say of the timesteps, by the names of diffusers' schedulers; what a
                scheduler does not know is left out.
        """
        with quiet_libraries():
            laid_out = inspect.signature(scheduler.set_timesteps).parameters
            told = {name: value for name, value in schedule.items() if name in laid_out}
            scheduler.set_timesteps(steps, **_distilled_schedule(scheduler, steps), **told)
        self._scheduler = scheduler
        self._generator = generator
        order = int(scheduler.order)
        skipped = 0 if strength is None else steps - steps_to_run(steps, strength)
        skipped = max(skipped, first)
        self.steps = (steps if last is None else last) - skipped
        # Samplers of higher order visit inner points of a step too; skipping starts at the first point of a step.
        begin = skipped * order
        if hasattr(scheduler, "set_begin_index"):
            # Left to itself a scheduler looks its first timestep up, and goes wrong where sigmas lie so close that two
            # of them round to one timestep.
            scheduler.set_begin_index(begin)
        # Some take a point more than they have steps, near the beginning.
        more = max(0, len(scheduler.timesteps) - steps * order)
        end = None if last is None else last * order + more
        self._timesteps: Tensor = scheduler.timesteps[begin:end]
        self._position = 0
        known = inspect.signature(scheduler.step).parameters
        self._step_options: dict[str, Any] = {"generator": generator} if "generator" in known else {}

    @property
    def forwards(self) -> int:
        """Model evaluations of the whole walk; more than `steps` for samplers of higher order."""
        return len(self._timesteps)

    @property
    def forwards_left(self) -> int:
        """Model evaluations still to come."""
        return len(self._timesteps) - self._position

    @property
    def steps_done(self) -> int:
        """Steps behind it, from 0 to `steps`."""
        if not self.forwards_left:
            return self.steps
        return self._position * self.steps // self.forwards

    @property
    def timestep(self) -> float:
        """Where on the training schedule the next evaluation stands; discrete, or fractional for some samplers."""
        return float(self._timesteps[self._position])

    def start_from_noise(self, shape: tuple[int, ...]) -> Tensor:
        """Latents of text-to-image: `shape` is (1, channels, height, width) in latent pixels."""
        return self.scaled_noise(self.draw_noise(shape))

    def start_from_picture(self, latents: Tensor) -> Tensor:
        """Latents of image-to-image: the encoded picture (1, channels, height, width), noised to the first timestep."""
        return self.noised_to_here(latents, self.draw_noise(tuple(latents.shape)))

    def draw_noise(self, shape: tuple[int, ...]) -> Tensor:
        """The next of the request's noise, of unit variance."""
        return torch.randn(shape, generator=self._generator)

    def scaled_noise(self, noise: Tensor) -> Tensor:
        """Noise of unit variance as latents that the whole schedule starts from."""
        # Schedulers of flows have latents of unit variance throughout, and say nothing of it.
        scaled: Tensor = noise * getattr(self._scheduler, "init_noise_sigma", 1.0)
        return scaled

    def noised_to_here(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Clean latents as they are at the present timestep under that noise; after the last step, as they are."""
        if not self.forwards_left:
            return latents
        here = self._timesteps[self._position : self._position + 1]
        if hasattr(self._scheduler, "scale_noise"):
            mixed: Tensor = self._scheduler.scale_noise(latents, here, noise)
            return mixed
        noised: Tensor = self._scheduler.add_noise(latents, noise, here)
        return noised

    def model_input(self, latents: Tensor) -> Tensor:
        """What the model is given for `latents` at the present timestep. Call once for each evaluation."""
        if not hasattr(self._scheduler, "scale_model_input"):
            return latents
        scaled: Tensor = self._scheduler.scale_model_input(latents, self._timesteps[self._position])
        return scaled

    def step(self, prediction: Tensor, latents: Tensor) -> Tensor:
        """Latents after this evaluation. `prediction` is the guided model output, of the shape of `latents`."""
        with quiet_arithmetic():
            moved: Tensor = self._scheduler.step(
                prediction, self._timesteps[self._position], latents, **self._step_options, return_dict=False
            )[0]
        self._position += 1
        return moved

    def state(self) -> dict[str, Any]:
        """How far it is, in plain values and tensors, to be copied before the next step.

        A sampler that was made alike, and is given this by `restore`, walks on as this one does, to the byte.
        """
        kept = {name: value for name, value in vars(self._scheduler).items() if name not in _MADE_AGAIN}
        return {"position": self._position, "noise": self._generator.get_state(), "scheduler": kept}

    def finish(self) -> None:
        """Count every step as done, without running any."""
        self._position = len(self._timesteps)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` gave, in a sampler that has not begun."""
        vars(self._scheduler).update(state["scheduler"])
        self._generator.set_state(state["noise"])
        self._position = state["position"]


def _distilled_schedule(scheduler: Any, steps: int) -> dict[str, int]:
    """Latent consistency samplers take their steps out of the schedule of the distillation, 50 long, which then has to
    be longer for requests of more steps.
    """
    distilled = getattr(scheduler.config, "original_inference_steps", None)
    return {} if distilled is None or steps <= distilled else {"original_inference_steps": steps}
