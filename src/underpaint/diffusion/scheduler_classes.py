"""Scheduler classes where diffusers' own do not fit: each a subclass of its namesake, and found by its name.

Two of diffusers' schedulers go wrong when a walk begins in the middle, as image-to-image does. Three are written for
models of other training, and are given here the noise levels and the preconditioning of discrete-time models.
docs/decisions/010 says how each was found and how the tests hold it.
"""

from collections.abc import Mapping
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from underpaint.diffusion.flow_schedulers import ON_FLOW_SCHEDULE

_FLOW = "FlowMatchEulerDiscreteScheduler"


def scheduler_class(name: str, *, trained_for: str | None) -> Any:
    """The class that a diffusers class name stands for.

    Args:
        name: of a diffusers scheduler.
        trained_for: name of the scheduler class in the model's own configuration, which such a model gets as it is.
    """
    if trained_for == _FLOW and name in ON_FLOW_SCHEDULE:
        return ON_FLOW_SCHEDULE[name]
    if name != trained_for and name in _ON_TRAINED_SCHEDULE:
        return _ON_TRAINED_SCHEDULE[name]
    return _FROM_ANY_STEP.get(name) or getattr(diffusers, name)


class LMSFromAnyStep(diffusers.LMSDiscreteScheduler):  # type: ignore[misc]
    """diffusers takes coefficients of fourth order for the first steps of a walk that begins in the middle, with no
    earlier derivatives to apply them to; the sum of those left over is up to twice the step.
    """

    def step(
        self, model_output: Tensor, timestep: Any, sample: Tensor, order: int = 4, **options: Any
    ) -> Any:
        """As diffusers', of the highest order that the derivatives so far allow, up to `order`."""
        return super().step(
            model_output, timestep, sample, order=min(order, len(self.derivatives) + 1), **options
        )


class PNDMFromAnyStep(diffusers.PNDMScheduler):  # type: ignore[misc]
    """The method evaluates its first step twice, at both ends. diffusers lays that out for the first step of the whole
    schedule only; a walk that begins later takes an ordinary step for the second evaluation, and goes astray by one.
    """

    def set_begin_index(self, begin_index: int) -> None:
        """Lay the timesteps out anew for a walk that begins at a step, counted from 0; those before it are not used."""
        if not begin_index:
            return
        # Runge-Kutta steps at the start, which the Stable Diffusion family skips, are laid out for the first step only.
        self.register_to_config(skip_prk_steps=True)
        self.prk_timesteps = np.array([])
        steps = self._timesteps[::-1].astype(np.int64)
        twice = steps[begin_index + 1 : begin_index + 2]
        laid_out = np.concatenate([steps[: begin_index + 1], twice, steps[begin_index + 1 :]])
        self.timesteps = torch.from_numpy(laid_out)


class IPNDMOnTrainedSchedule(diffusers.EulerDiscreteScheduler):  # type: ignore[misc]
    """Improved pseudo linear multistep of fourth order (Liu et al., arXiv:2202.09778, Eq. 9 and 12, without its
    Runge-Kutta start; Zhang and Chen, arXiv:2204.13902) over the noise levels that the model was trained with.

    diffusers' class of that name is for models that predict v for times from 0 to 1. Spacing, noise and the conversion
    of predictions are the Euler scheduler's; the gradient of each step is the multistep one.
    """

    def set_timesteps(self, *arguments: Any, **options: Any) -> None:
        """As the Euler scheduler's."""
        super().set_timesteps(*arguments, **options)
        self._gradients: list[Tensor] = []

    def step(
        self, model_output: Tensor, timestep: Any, sample: Tensor, *, return_dict: bool = False
    ) -> tuple[Tensor]:
        """The next latents, by the highest order that the gradients so far allow. Only `return_dict` False is known."""
        if self.step_index is None:
            self._init_step_index(timestep)
        sigma, next_sigma = self.sigmas[self.step_index], self.sigmas[self.step_index + 1]
        euler = super().step(model_output, timestep, sample, return_dict=False)[0]
        self._gradients = [(euler - sample) / (next_sigma - sigma), *self._gradients[:3]]
        weights = _ADAMS_BASHFORTH[len(self._gradients) - 1]
        gradient = sum(weight * earlier for weight, earlier in zip(weights, self._gradients, strict=True))
        return (sample + (next_sigma - sigma) * gradient,)


_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the newest gradient and those before it, by how many there are."""


class _DiscretePreconditioning:
    """Preconditioning of discrete-time models in EDM's terms: Karras et al., arXiv:2206.00364, Table 1, columns VP and
    iDDPM. The noise levels are the model's, from its least to its highest. Goes before one of EDM's samplers in a
    class's bases.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0001,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        trained_betas: list[float] | None = None,
        prediction_type: str = "epsilon",
        rescale_betas_zero_snr: bool = False,
    ) -> None:
        trained = _trained(self.config)  # type: ignore[attr-defined]
        ascending = trained.sigmas[:-1].flip(0).double()
        self._log_sigmas = ascending.log().numpy()
        super().__init__(  # type: ignore[call-arg]
            sigma_min=float(ascending[0]),
            sigma_max=float(ascending[-1]),
            sigma_data=1.0,
            prediction_type=trained.config.prediction_type,
        )

    def precondition_noise(self, sigma: Tensor) -> Tensor:
        """The timestep at which the model met that noise level, fractional."""
        timesteps = np.arange(len(self._log_sigmas))
        return torch.from_numpy(np.interp(sigma.double().log().numpy(), self._log_sigmas, timesteps)).float()

    def precondition_outputs(self, sample: Tensor, model_output: Tensor, sigma: Tensor) -> Tensor:
        """Latents without noise, of what the model predicts."""
        if self.config.prediction_type == "epsilon":  # type: ignore[attr-defined]
            return sample - sigma * model_output
        if self.config.prediction_type == "sample":  # type: ignore[attr-defined]
            return model_output
        # v, which is what EDM's own preconditioning means for data of unit variance.
        denoised: Tensor = super().precondition_outputs(sample, model_output, sigma)  # type: ignore[misc]
        return denoised


class EDMEulerOnTrainedSchedule(_DiscretePreconditioning, diffusers.EDMEulerScheduler):  # type: ignore[misc]
    """EDM's deterministic sampler of first order, for models that were not trained as EDM's are."""


class EDMMultistepOnTrainedSchedule(
    _DiscretePreconditioning,
    diffusers.EDMDPMSolverMultistepScheduler,  # type: ignore[misc]
):
    """DPM-Solver++ 2M over EDM's noise levels, for models that were not trained as EDM's are."""


def _trained(config: Mapping[str, Any]) -> Any:
    """A scheduler that holds the noise levels of a model's training."""
    return diffusers.EulerDiscreteScheduler.from_config(
        {name: value for name, value in config.items() if not name.startswith("_")}
    )


_FROM_ANY_STEP: Mapping[str, Any] = {
    "LMSDiscreteScheduler": LMSFromAnyStep,
    "PNDMScheduler": PNDMFromAnyStep,
}
_ON_TRAINED_SCHEDULE: Mapping[str, Any] = {
    "IPNDMScheduler": IPNDMOnTrainedSchedule,
    "EDMEulerScheduler": EDMEulerOnTrainedSchedule,
    "EDMDPMSolverMultistepScheduler": EDMMultistepOnTrainedSchedule,
}
