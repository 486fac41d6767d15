"""Model families by architecture. A new family is one module beside `stable_diffusion` and one line here."""

from collections.abc import Mapping

from underpaint.diffusion.stable_diffusion import StableDiffusion

FAMILY_OF_ARCHITECTURE: Mapping[str, type[StableDiffusion]] = {
    "sd1x": StableDiffusion,
    "sd2x": StableDiffusion,
}
