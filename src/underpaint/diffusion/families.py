"""Which architectures run, and as what. A new family is one module beside `stable_diffusion` and one entry here.

Plain data: importing this loads neither torch nor diffusers, so the server can check a task before any model is loaded.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from underpaint.diffusion.schedulers import STABLE_DIFFUSION_SCHEDULERS, SchedulerChoice

if TYPE_CHECKING:
    from underpaint.diffusion.family import Family


@dataclass(frozen=True, kw_only=True, eq=False)
class FamilyEntry:
    """What there is to know of a family before one of its models is loaded."""

    module: str
    """Of this package."""
    class_name: str
    schedulers: Mapping[str, SchedulerChoice]
    """Names of the API that it runs with."""

    def load_class(self) -> "type[Family]":
        """The class of the family's models. Imports torch."""
        family: type[Family] = getattr(
            importlib.import_module(f"underpaint.diffusion.{self.module}"), self.class_name
        )
        return family


_STABLE_DIFFUSION = FamilyEntry(
    module="stable_diffusion", class_name="StableDiffusion", schedulers=STABLE_DIFFUSION_SCHEDULERS
)

FAMILY_OF_ARCHITECTURE: Mapping[str, FamilyEntry] = {
    "sd1x": _STABLE_DIFFUSION,
    "sd2x": _STABLE_DIFFUSION,
}
"""By the architecture names of the catalogue. Its keys are the architectures that this version can run."""
