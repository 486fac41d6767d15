import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.checkpoints import SD2_SCHEDULER, photo_like, write_checkpoint
from tests.checkpoints_flux import write_flux_checkpoint
from tests.checkpoints_sd3 import write_sd3_checkpoint
from tests.checkpoints_xl import write_sdxl_checkpoint
from underpaint.engine.threads import let_threads_sleep

# Before any test loads torch.
let_threads_sleep()

# Of servers that tests start: nothing that a test waits for changes under way. tests/engine/test_openvino.py is about
# the default.
os.environ["UNDERPAINT_EXECUTOR"] = "eager"

# No example has to be quick: a busy machine makes any of them slow.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """64 x 64 pixels."""
    return photo_like()


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`write_checkpoint` into a fresh folder."""
    return lambda **options: write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "model", **options)


@pytest.fixture(scope="session")
def sd1_checkpoint(make_checkpoint: Callable[..., Path]) -> Path:
    """A folder in the layout of Stable Diffusion 1.x. Not to be written to."""
    return make_checkpoint()


@pytest.fixture(scope="session")
def sd2_checkpoint(make_checkpoint: Callable[..., Path]) -> Path:
    """A folder in the layout of Stable Diffusion 2.x, which predicts v. Not to be written to."""
    return make_checkpoint(scheduler=SD2_SCHEDULER, linear_projection=True)


@pytest.fixture(scope="session")
def sdxl_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of SDXL 1.0. Not to be written to."""
    return write_sdxl_checkpoint(tmp_path_factory.mktemp("checkpoints") / "sdxl")


@pytest.fixture(scope="session")
def flux_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of FLUX.1 dev. Not to be written to."""
    return write_flux_checkpoint(tmp_path_factory.mktemp("checkpoints") / "flux")


@pytest.fixture(scope="session")
def schnell_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of FLUX.1 schnell. Not to be written to."""
    return write_flux_checkpoint(tmp_path_factory.mktemp("checkpoints") / "schnell", guided=False)


@pytest.fixture(scope="session")
def make_sd3_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`write_sd3_checkpoint` into a fresh folder."""
    return lambda **options: write_sd3_checkpoint(tmp_path_factory.mktemp("checkpoints") / "sd3", **options)


@pytest.fixture(scope="session")
def sd3_checkpoint(make_sd3_checkpoint: Callable[..., Path]) -> Path:
    """A folder in the layout of Stable Diffusion 3 medium. Not to be written to."""
    return make_sd3_checkpoint()


@pytest.fixture(scope="session")
def kontext_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of FLUX.1 Kontext. Not to be written to."""
    folder = tmp_path_factory.mktemp("checkpoints") / "kontext"
    return write_flux_checkpoint(folder, weights_seed=5, pipeline="FluxKontextPipeline", sharpness=3.0)
