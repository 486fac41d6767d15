"""Which architectures run, and as what. A new family is one module beside `stable_diffusion` and one entry here.

Plain data: importing this loads neither torch nor diffusers, so the server can check a task before any model is loaded.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from underpaint.diffusion.schedulers import FLOW_SCHEDULERS, STABLE_DIFFUSION_SCHEDULERS, SchedulerChoice
from underpaint.diffusion.strength_curve import FlowLevels

if TYPE_CHECKING:
    from underpaint.diffusion.family import Family


@dataclass(frozen=True, kw_only=True, eq=False)
class FamilyEntry:
    """What there is to know of a family before one of its models is loaded."""

    title: str
    """As people call it."""
    module: str
    """Of this package."""
    class_name: str
    schedulers: Mapping[str, SchedulerChoice]
    """Names of the API that it runs with."""
    prompt_weightings: frozenset[str] = frozenset({"compel", "sdEmbeds"})
    """Syntaxes of weights within prompts that it reads."""
    skips_clip_layers: bool = True
    """Whether `clipSkip` means something to it."""
    loras: bool = False
    """Whether its models take LoRAs (`diffusion.lora.TakesLoras`)."""
    vae: bool = False
    """Whether its models take another autoencoder than their own (`diffusion.autoencoder.TakesAutoencoders`)."""
    embeddings: bool = False
    """Whether they take textual inversions (`diffusion.textual_inversion.TakesEmbeddings`)."""
    ip_adapters: bool = False
    """Whether they take IP-Adapters (`diffusion.ip_adapter.TakesImagePrompts`), or pictures in place of the prompt
    (`diffusion.redux.TakesRedux`)."""
    weighs_ip_adapters: bool = True
    """Whether such pictures have weights."""
    controlnets: bool = False
    """Whether they take ControlNets (`diffusion.controlnet.TakesControls`)."""
    reference_images: int = 0
    """How many pictures its models can look at while they make their own."""
    draws_seed: bool = True
    """Whether the latents of a seed image are drawn from what the autoencoder is unsure of, or the likeliest, as in
    diffusers' pipeline."""
    pixels_per_token: int = 0
    """Pixels of a picture to each token of the denoising model, where prompts stand in one sequence with the picture
    and take as much memory; 0 where they are read from beside."""
    has_unet: bool = True
    """Whether its denoising model is a UNet, for which there are DeepCache and OpenVINO."""
    types: frozenset[str] = frozenset({"base"})
    """Of its checkpoints, those that it runs: base, inpainting, refiner. A refiner only takes over from others."""
    without_strength: frozenset[str] = frozenset()
    """Types of its checkpoints that begin with noise whatever the strength, as their authors' programs do."""
    flow_levels: FlowLevels | None = None
    """Of families of rectified flows: by what a perceptual strength is counted. None where there is none."""
    scheduler_config: Mapping[str, Any] = field(default_factory=dict)
    """What takes the place of the checkpoint's own scheduler configuration. Checkpoints that are distilled to few steps
    come as single files, too, which say nothing of how those steps are to be spaced."""

    def load_class(self) -> "type[Family]":
        """The class of the family's models. Imports torch."""
        family: type[Family] = getattr(
            importlib.import_module(f"underpaint.diffusion.{self.module}"), self.class_name
        )
        return family


_STABLE_DIFFUSION = FamilyEntry(
    title="Stable Diffusion",
    module="stable_diffusion",
    class_name="StableDiffusion",
    types=frozenset({"base", "inpainting"}),
    schedulers=STABLE_DIFFUSION_SCHEDULERS,
    loras=True,
    vae=True,
    embeddings=True,
    ip_adapters=True,
    controlnets=True,
)
_STABLE_DIFFUSION_XL = FamilyEntry(
    title="SDXL",
    module="stable_diffusion_xl",
    class_name="StableDiffusionXL",
    types=frozenset({"base", "inpainting", "refiner"}),
    schedulers=STABLE_DIFFUSION_SCHEDULERS,
    loras=True,
    vae=True,
    embeddings=True,
    ip_adapters=True,
    controlnets=True,
)
_FLUX = FamilyEntry(
    title="FLUX.1",
    module="flux",
    class_name="Flux",
    schedulers=FLOW_SCHEDULERS,
    prompt_weightings=frozenset({"sdEmbeds"}),
    skips_clip_layers=False,
    loras=True,
    vae=True,
    ip_adapters=True,
    weighs_ip_adapters=False,
    pixels_per_token=16 * 16,
    has_unet=False,
    flow_levels=FlowLevels(),
)
_STABLE_DIFFUSION_3 = FamilyEntry(
    title="Stable Diffusion 3",
    module="stable_diffusion_3",
    class_name="StableDiffusion3",
    schedulers=FLOW_SCHEDULERS,
    prompt_weightings=frozenset({"sdEmbeds"}),
    vae=True,
    pixels_per_token=16 * 16,
    has_unet=False,
    flow_levels=FlowLevels(shift=3.0),
)
_FROM_THE_END = {"timestep_spacing": "trailing"}
"""Steps counted from the noise: Lin et al., arXiv:2305.08891, section 3.3. With a few steps, all the difference."""

FAMILY_OF_ARCHITECTURE: Mapping[str, FamilyEntry] = {
    "sd1x": _STABLE_DIFFUSION,
    "sd1xlcm": _STABLE_DIFFUSION,
    "sdhyper": replace(_STABLE_DIFFUSION, scheduler_config=_FROM_THE_END),
    "sd2x": _STABLE_DIFFUSION,
    "sdxl": _STABLE_DIFFUSION_XL,
    "sdxldistilled": _STABLE_DIFFUSION_XL,
    "sdxlhyper": replace(_STABLE_DIFFUSION_XL, scheduler_config=_FROM_THE_END),
    "sdxllcm": _STABLE_DIFFUSION_XL,
    "sdxllightning": replace(_STABLE_DIFFUSION_XL, scheduler_config=_FROM_THE_END),
    "sdxlturbo": replace(_STABLE_DIFFUSION_XL, scheduler_config=_FROM_THE_END),
    "pony": _STABLE_DIFFUSION_XL,
    "illustrious": _STABLE_DIFFUSION_XL,
    "noobai": _STABLE_DIFFUSION_XL,
    "flux1d": replace(
        _FLUX,
        types=frozenset({"base", "inpainting", "control"}),
        without_strength=frozenset({"inpainting", "control"}),
    ),
    "flux1s": replace(_FLUX, flow_levels=FlowLevels(shift=1.0)),
    "fluxkontextdev": replace(_FLUX, reference_images=2, draws_seed=False),
    "sd3": _STABLE_DIFFUSION_3,
}
"""By the architecture names of the catalogue. Its keys are the architectures that this version can run."""
