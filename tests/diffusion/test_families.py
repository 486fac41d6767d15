"""Every entry of the table of families leads to a class of the families' shape."""

import inspect

import pytest

from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family
from underpaint.diffusion.flux import Flux
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.diffusion.stable_diffusion_3 import StableDiffusion3
from underpaint.diffusion.stable_diffusion_xl import StableDiffusionXL
from underpaint.wire.schedulers import SCHEDULER_NAMES

SHAPES: tuple[type[Family], ...] = (StableDiffusion, StableDiffusionXL, Flux, StableDiffusion3)
"""For the type checker, which compares each class with the protocol."""


@pytest.mark.parametrize("architecture", FAMILY_OF_ARCHITECTURE)
def test_every_family_has_the_one_shape(architecture: str) -> None:
    family = FAMILY_OF_ARCHITECTURE[architecture].load_class()
    assert family in SHAPES
    for name, method in inspect.getmembers(Family, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(family, name)).parameters) == list(
                inspect.signature(method).parameters
            )


@pytest.mark.parametrize("architecture", FAMILY_OF_ARCHITECTURE)
def test_every_family_has_schedulers_of_the_api(architecture: str) -> None:
    entry = FAMILY_OF_ARCHITECTURE[architecture]
    assert "Default" in entry.schedulers
    assert set(entry.schedulers) <= set(SCHEDULER_NAMES)
