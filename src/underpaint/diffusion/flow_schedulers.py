"""Samplers for models of rectified flows, over the noise levels of the model's own scheduler.

diffusers' multistep solvers know such models (`use_flow_sigmas`), but space their steps in a way of their own, which
forgets the flow where Karras, exponential or beta sigmas are asked for, and round the timestep that the model is told;
its Heun sampler knows neither those spacings nor a shift by the size of the picture. Here each keeps its arithmetic,
and is given the noise levels that the Euler sampler of the model would go through. docs/decisions/010 says more.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import diffusers
import torch
from torch import Tensor

_SOLVING_FLOWS = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
_ALL_NOISE = 1.0 - 1e-6
"""Of a solver that takes the logarithm of the signal. diffusers' stays as far from none."""


class OnFlowSchedule:
    """What a solver of diffusers' has in place of its own noise levels. Goes before it in a class's bases."""

    takes_besides: ClassVar = frozenset(
        inspect.signature(diffusers.FlowMatchEulerDiscreteScheduler.__init__).parameters
    )
    """Names of options that are for the noise levels and not for the solver."""
    sigmas: Tensor
    timesteps: Tensor
    _trained: Any

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **options: Any) -> Self:
        """A solver with `options` for a model whose own scheduler, one of rectified flows, has this configuration."""
        said = {**config, **options}
        known = inspect.signature(cls.__init__).parameters.keys() - cls.takes_besides
        told = {name: value for name, value in {**options, **_SOLVING_FLOWS}.items() if name in known}
        solver = cls(**told)
        solver._trained = diffusers.FlowMatchEulerDiscreteScheduler.from_config(
            {name: value for name, value in said.items() if name in cls.takes_besides}
        )
        return solver

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: torch.device | None = None,
        *,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
    ) -> None:
        """As the model's own scheduler: `sigmas` are before its shift, and `mu` is what that depends on."""
        self._trained.set_timesteps(num_inference_steps, sigmas=sigmas, mu=mu)
        super().set_timesteps(len(self._trained.timesteps))  # type: ignore[misc]
        self.sigmas, self.timesteps = self._laid_out(self._trained.sigmas, self._trained.timesteps)

    def scale_noise(self, sample: Tensor, _timestep: Tensor, noise: Tensor) -> Tensor:
        """`sample` under that noise, as much as there is where the walk stands."""
        stands = self.begin_index if self.step_index is None else self.step_index  # type: ignore[attr-defined]
        sigma = self.sigmas[stands]
        return sigma * noise + (1.0 - sigma) * sample

    def _laid_out(self, sigmas: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Noise levels, one for each evaluation and the last 0, and the timesteps of the evaluations."""
        return sigmas, timesteps


class MultistepOnFlowSchedule(OnFlowSchedule, diffusers.DPMSolverMultistepScheduler):  # type: ignore[misc]
    """DPM-Solver++ of first to third order, and its stochastic form (Lu et al., arXiv:2211.01095)."""


class UniPCOnFlowSchedule(OnFlowSchedule, diffusers.UniPCMultistepScheduler):  # type: ignore[misc]
    """UniPC (Zhao et al., arXiv:2302.04867)."""

    def _laid_out(self, sigmas: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        return sigmas.clamp(max=_ALL_NOISE), timesteps


class HeunOnFlowSchedule(OnFlowSchedule, diffusers.FlowMatchHeunDiscreteScheduler):  # type: ignore[misc]
    """Heun's method: every step but the last is evaluated at both ends."""

    def _laid_out(self, sigmas: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        twice = sigmas[1:-1].repeat_interleave(2)
        return (
            torch.cat([sigmas[:1], twice, sigmas[-1:]]),
            torch.cat([timesteps[:1], timesteps[1:].repeat_interleave(2)]),
        )


class EulerAncestralOnFlowSchedule(OnFlowSchedule, diffusers.LTXEulerAncestralRFScheduler):  # type: ignore[misc]
    """Euler's method, where a part of the noise is drawn anew at every step."""


ON_FLOW_SCHEDULE: Mapping[str, Any] = {
    "DPMSolverMultistepScheduler": MultistepOnFlowSchedule,
    "UniPCMultistepScheduler": UniPCOnFlowSchedule,
    "HeunDiscreteScheduler": HeunOnFlowSchedule,
    "EulerAncestralDiscreteScheduler": EulerAncestralOnFlowSchedule,
}
"""By the names of the classes that do the same for models of other training."""
