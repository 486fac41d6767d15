"""The API's scheduler names, as diffusers scheduler classes and their options.

Plain data: importing this loads neither torch nor diffusers, so the server can check a name before any model is loaded.
Options that a class does not know are left out when it is built. Where `scheduler_classes` has a class of the name,
it goes before diffusers'. Source of the names: the API's scheduler page; of
the mapping: the definition of each sampler in k-diffusion and in the papers that the diffusers classes cite.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SchedulerChoice:
    """A diffusers class by name, with the options that differ from the model's own scheduler configuration."""

    class_name: str | None
    """None keeps the model's own class."""
    options: Mapping[str, Any] = field(default_factory=dict)


def _choice(class_name: str | None, **options: Any) -> SchedulerChoice:
    return SchedulerChoice(class_name=class_name, options=options)


_KARRAS = {"use_karras_sigmas": True}
_EXPONENTIAL = {"use_exponential_sigmas": True}
_BETA = {"use_beta_sigmas": True}
_UNIFORM = {"timestep_spacing": "linspace"}
_SPACINGS: Mapping[str, Mapping[str, Any]] = {
    "": {},
    " Karras": _KARRAS,
    " Exponential": _EXPONENTIAL,
    " Beta": _BETA,
}

_DPM = "DPMSolverMultistepScheduler"
_SOLVERS: Mapping[str, SchedulerChoice] = {
    "DPM++": _choice(_DPM, algorithm_type="dpmsolver++", solver_order=1),
    "DPM++ 2M": _choice(_DPM, algorithm_type="dpmsolver++", solver_order=2),
    "DPM++ 2M SDE": _choice(_DPM, algorithm_type="sde-dpmsolver++", solver_order=2),
    "DPM++ 3M": _choice(_DPM, algorithm_type="dpmsolver++", solver_order=3),
    "DPM++ SDE": _choice("DPMSolverSDEScheduler"),
    "Euler": _choice("EulerDiscreteScheduler"),
    "Heun": _choice("HeunDiscreteScheduler"),
    "IPNDM": _choice("IPNDMScheduler"),
    "LMS": _choice("LMSDiscreteScheduler"),
    "UniPC": _choice("UniPCMultistepScheduler", solver_order=2),
    "UniPC 2M": _choice("UniPCMultistepScheduler", solver_order=2),
    "UniPC 3M": _choice("UniPCMultistepScheduler", solver_order=3),
}


def _spaced(
    solver: str, *spacings: str, of: Mapping[str, SchedulerChoice] = _SOLVERS
) -> dict[str, SchedulerChoice]:
    """Names such as "DPM++ 2M Karras" for one solver."""
    choice = of[solver]
    return {
        solver + name: SchedulerChoice(
            class_name=choice.class_name, options={**choice.options, **_SPACINGS[name]}
        )
        for name in spacings
    }


def _uniform(solver: str, *, named: str, spacings: tuple[str, ...] = ("",)) -> dict[str, SchedulerChoice]:
    choice = _SOLVERS[solver]
    return {
        named + name: SchedulerChoice(
            class_name=choice.class_name, options={**choice.options, **_UNIFORM, **_SPACINGS[name]}
        )
        for name in spacings
    }


_ALL_SPACINGS = tuple(_SPACINGS)
_EULER_A = _choice("EulerAncestralDiscreteScheduler")

_FLOW = "FlowMatchEulerDiscreteScheduler"
_FLOW_SOLVERS: Mapping[str, SchedulerChoice] = {
    **_SOLVERS,
    "Euler": _choice(_FLOW),
    # The sampler of that name takes noise levels for its own; this one is of the same equation, and of first order.
    "DPM++ SDE": _choice(_DPM, algorithm_type="sde-dpmsolver++", solver_order=1),
}

FLOW_SCHEDULERS: Mapping[str, SchedulerChoice] = {
    "Default": _choice(None),
    "DPMSolverMultistepScheduler": _choice(_DPM),
    **_spaced("DPM++", *_ALL_SPACINGS, of=_FLOW_SOLVERS),
    **_spaced("DPM++ 2M", *_ALL_SPACINGS, of=_FLOW_SOLVERS),
    **_spaced("DPM++ 2M SDE", *_ALL_SPACINGS, of=_FLOW_SOLVERS),
    **_spaced("DPM++ 3M", *_ALL_SPACINGS, of=_FLOW_SOLVERS),
    **_spaced("DPM++ SDE", *_ALL_SPACINGS, of=_FLOW_SOLVERS),
    **_spaced("Euler", *_ALL_SPACINGS, of=_FLOW_SOLVERS),
    "Euler a": _EULER_A,
    _FLOW: _choice(_FLOW),
    **_spaced("Heun", "", " Karras", of=_FLOW_SOLVERS),
    "LCM": _choice("FlowMatchLCMScheduler"),
    **_spaced("UniPC", "", " Karras", of=_FLOW_SOLVERS),
    "UniPCMultistepScheduler": _FLOW_SOLVERS["UniPC"],
    **_spaced("UniPC 2M", "", " Karras", of=_FLOW_SOLVERS),
    **_spaced("UniPC 3M", "", " Karras", of=_FLOW_SOLVERS),
}
"""Names that models of rectified flows run with: the 25 of the API's own list for them, and those that mean the same
for them as for others. Missing are samplers of which there is no form for flows (DDIM, DEIS, PNDM, TCD and others), and
the uniform ones: spacing is of the training's timesteps, which a flow does not have."""

STABLE_DIFFUSION_SCHEDULERS: Mapping[str, SchedulerChoice] = {
    "Default": _choice(None),
    "DDIM": _choice("DDIMScheduler"),
    "DDIMScheduler": _choice("DDIMScheduler"),
    "DDPMScheduler": _choice("DDPMScheduler"),
    "DEISMultistepScheduler": _choice("DEISMultistepScheduler"),
    "DPMSolverSinglestepScheduler": _choice("DPMSolverSinglestepScheduler"),
    "DPMSolverMultistepScheduler": _choice(_DPM),
    **_spaced("DPM++", *_ALL_SPACINGS),
    **_spaced("DPM++ 2M", *_ALL_SPACINGS),
    **_spaced("DPM++ 2M SDE", *_ALL_SPACINGS),
    **_spaced("DPM++ 3M", *_ALL_SPACINGS),
    **_spaced("DPM++ SDE", *_ALL_SPACINGS),
    **_uniform("DPM++", named="DPM++ Uniform", spacings=_ALL_SPACINGS),
    **_uniform("DPM++ 2M", named="DPM++ 2M Uniform"),
    **_uniform("DPM++ 2M SDE", named="DPM++ 2M SDE Uniform"),
    **_uniform("DPM++ 3M", named="DPM++ 3M Uniform"),
    "DPM++ 3M SDE Uniform": _choice(_DPM, algorithm_type="sde-dpmsolver++", solver_order=3, **_UNIFORM),
    "EDMDPMSolverMultistepScheduler": _choice("EDMDPMSolverMultistepScheduler"),
    "EDMEulerScheduler": _choice("EDMEulerScheduler"),
    **_spaced("Euler", *_ALL_SPACINGS),
    "EulerDiscreteScheduler": _SOLVERS["Euler"],
    "Euler a": _EULER_A,
    "EulerAncestralDiscreteScheduler": _EULER_A,
    **_spaced("Heun", "", " Karras"),
    "HeunDiscreteScheduler": _SOLVERS["Heun"],
    "IPNDMScheduler": _SOLVERS["IPNDM"],
    **_uniform("IPNDM", named="IPNDM Uniform", spacings=_ALL_SPACINGS),
    "KDPM2DiscreteScheduler": _choice("KDPM2DiscreteScheduler"),
    "KDPM2AncestralDiscreteScheduler": _choice("KDPM2AncestralDiscreteScheduler"),
    "LCM": _choice("LCMScheduler"),
    "LCMScheduler": _choice("LCMScheduler"),
    **_spaced("LMS", "", " Karras"),
    "LMSDiscreteScheduler": _SOLVERS["LMS"],
    "PNDMScheduler": _choice("PNDMScheduler", skip_prk_steps=True),
    "TCDScheduler": _choice("TCDScheduler"),
    **_spaced("UniPC", "", " Karras"),
    "UniPCMultistepScheduler": _SOLVERS["UniPC"],
    **_spaced("UniPC 2M", "", " Karras"),
    **_spaced("UniPC 3M", "", " Karras"),
    **_uniform("UniPC", named="UniPC Uniform", spacings=_ALL_SPACINGS),
    **_uniform("UniPC 2M", named="UniPC 2M Uniform"),
    **_uniform("UniPC 3M", named="UniPC 3M Uniform"),
}
"""Names that Stable Diffusion models run with. Of the API's names two are missing: DPMSolverMultistepInverse, which
walks from a picture to noise, and FlowMatchEulerDiscreteScheduler, which is for models of flow matching."""
