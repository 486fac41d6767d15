from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkpoints import EMBEDDED_CHECKPOINT

from .side_by_side import SideBySide


@pytest.fixture(scope="session")
def sd1(sd1_checkpoint: Path) -> SideBySide:
    return SideBySide(sd1_checkpoint)


@pytest.fixture(scope="session")
def sd2(sd2_checkpoint: Path) -> SideBySide:
    return SideBySide(sd2_checkpoint)


@pytest.fixture(scope="session")
def sdxl(sdxl_checkpoint: Path) -> SideBySide:
    return SideBySide(sdxl_checkpoint, architecture="sdxl", pipeline="StableDiffusionXL{}Pipeline")


@pytest.fixture(scope="session")
def embedded() -> SideBySide:
    return SideBySide(EMBEDDED_CHECKPOINT)


@pytest.fixture(scope="session")
def latent_consistency(make_checkpoint: Callable[..., Path]) -> SideBySide:
    """A checkpoint that takes the guidance scale as an input."""
    return SideBySide(make_checkpoint(time_cond_proj_dim=32))


@pytest.fixture(scope="session")
def inpainting(make_checkpoint: Callable[..., Path]) -> SideBySide:
    """A checkpoint that sees the mask and what it keeps: nine channels."""
    return SideBySide(make_checkpoint(in_channels=9))


@pytest.fixture
def without_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of its mask a picture is what the decoder makes of it, as in diffusers' pipelines, and not the photo."""
    monkeypatch.setattr("underpaint.engine.trajectory.join", lambda painted, *_: painted)
