"""Every family from one safetensors file, in the layouts in which they are published: the same model as its folder.

What the tests' small models share with the published ones is every name and every order of the tensors.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.checkpoints import SD2_SCHEDULER, photo_like, write_checkpoint
from tests.checkpoints_flux import write_flux_checkpoint
from tests.checkpoints_sd3 import write_sd3_checkpoint
from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.diffusion.flux_file import write_prefixed_file, write_transformer_file, write_whole_file
from tests.diffusion.sd3_file import write_sd3_file
from tests.diffusion.single_file import write_single_file, write_single_file_2
from tests.reference.test_inpainting import half
from underpaint.catalog.contents import contents_of, same_family
from underpaint.catalog.safetensors_header import read_header
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family, Row

Writing = Callable[[Path, Path], Path]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of checkpoint."""

    architecture: str
    type: str = "base"
    """As its files tell. Those of FLUX tell by the published numbers of channels, which the tests' do not have
    (tests/catalog/test_contents.py has them)."""
    folder: Callable[[Path], Path]
    files: Mapping[str, Writing]
    """Layouts of its single files."""
    completed_by_base: int | None = None
    """Channels that the denoising network takes in the folder of the base model, which completes its files; None where
    its own does."""


_FLUX_FILES: Mapping[str, Writing] = {
    "transformer": write_transformer_file,
    "transformer with prefix": write_prefixed_file,
    "everything": write_whole_file,
}
KINDS: Mapping[str, Kind] = {
    "sd 1.x": Kind(architecture="sd1x", folder=write_checkpoint, files={"original": write_single_file}),
    "sd 1.x inpainting": Kind(
        architecture="sd1x",
        type="inpainting",
        folder=partial(write_checkpoint, in_channels=9),
        files={"original": write_single_file},
        completed_by_base=4,
    ),
    "sd 2.x": Kind(
        architecture="sd2x",
        folder=partial(write_checkpoint, scheduler=SD2_SCHEDULER, linear_projection=True),
        files={"original": write_single_file_2},
    ),
    "sdxl": Kind(architecture="sdxl", folder=write_sdxl_checkpoint, files={"original": write_single_file}),
    "sdxl inpainting": Kind(
        architecture="sdxl",
        type="inpainting",
        folder=partial(write_sdxl_checkpoint, in_channels=9),
        files={"original": write_single_file},
        completed_by_base=4,
    ),
    "sdxl refiner": Kind(
        architecture="sdxl",
        type="refiner",
        folder=partial(write_sdxl_checkpoint, refiner=True),
        files={"original": write_single_file},
    ),
    "flux dev": Kind(architecture="flux1d", folder=write_flux_checkpoint, files=_FLUX_FILES),
    "flux schnell": Kind(
        architecture="flux1s", folder=partial(write_flux_checkpoint, guided=False), files=_FLUX_FILES
    ),
    "flux fill": Kind(
        architecture="flux1d",
        folder=partial(write_flux_checkpoint, in_channels=288, pipeline="FluxFillPipeline"),
        files=_FLUX_FILES,
        completed_by_base=16,
    ),
    "flux canny and depth": Kind(
        architecture="flux1d",
        folder=partial(write_flux_checkpoint, in_channels=32, pipeline="FluxControlPipeline"),
        files=_FLUX_FILES,
        completed_by_base=16,
    ),
    "flux kontext": Kind(
        architecture="fluxkontextdev",
        folder=partial(write_flux_checkpoint, pipeline="FluxKontextPipeline", sharpness=3.0),
        files=_FLUX_FILES,
        completed_by_base=16,
    ),
    "sd3": Kind(
        architecture="sd3",
        folder=write_sd3_checkpoint,
        files={
            "everything": write_sd3_file,
            "without text encoders": partial(write_sd3_file, text_encoders=()),
            "transformer": partial(write_sd3_file, text_encoders=(), autoencoder=False),
        },
    ),
}
PAIRS = [(kind, layout) for kind, described in KINDS.items() for layout in described.files]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The diffusers folder of a kind, written once."""
    written: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in written:
            written[kind] = KINDS[kind].folder(tmp_path_factory.mktemp("single") / kind.replace(" ", "-"))
        return written[kind]

    return folder


def load(kind: str, location: Path, config: Path | None = None) -> Family:
    """A model as the engine loads it."""
    family = FAMILY_OF_ARCHITECTURE[KINDS[kind].architecture].load_class()
    return family.load(location, config=config, device=torch.device("cpu"), dtype=torch.float32)


def base_folder(folder: Path, channels: int, copied: Path) -> Path:
    """The folder of the base model with the other components of `folder`."""
    shutil.copytree(folder, copied)
    [config] = [path for path in copied.glob("*/config.json") if path.parent.name in ("unet", "transformer")]
    said = json.loads(config.read_text())
    config.write_text(json.dumps({**said, "in_channels": channels}))
    # It is the file's that is loaded.
    (config.parent / "diffusion_pytorch_model.safetensors").unlink()
    return copied


def everything_it_computes(model: Family, *, looks_at_pictures: bool) -> list[Any]:
    """What its text encoders, its denoising network and both halves of its autoencoder make of fixed inputs."""
    dice = torch.Generator().manual_seed(0)
    prompt = model.encode_prompt("a red house")
    picture = model.encode_picture(photo_like()).sample(dice)
    latents = torch.randn(model.latent_shape(width_px=64, height_px=64)[1:], generator=dice)
    beside = model.beside(picture, half())[0] if model.sees_mask else picture[0] if model.sees_map else None
    row = Row(
        latents=latents,
        timestep=500.0,
        prompt=prompt,
        guidance_scale=5.0,
        beside=beside,
        references=(picture[0],) if looks_at_pictures else (),
    )
    assert prompt.pooled is None or prompt.pooled.any()
    return [
        prompt.hidden_states,
        torch.zeros(1) if prompt.pooled is None else prompt.pooled,
        picture,
        model.predict([row]),
        model.decode(latents[None]),
    ]


@pytest.mark.usefixtures("small_width")
@pytest.mark.parametrize(("kind", "layout"), PAIRS, ids=[f"{kind}, {layout}" for kind, layout in PAIRS])
def test_a_single_file_is_the_same_model(
    folder_of: Callable[[str], Path], tmp_path: Path, kind: str, layout: str
) -> None:
    described = KINDS[kind]
    folder = folder_of(kind)
    file = described.files[layout](folder, tmp_path / "small.safetensors")

    found = contents_of(read_header(file).tensors)
    assert (found.category, found.type) == ("checkpoint", described.type)
    assert same_family(str(found.architecture), described.architecture)
    config = folder
    if described.completed_by_base is not None:
        config = base_folder(folder, described.completed_by_base, tmp_path / "base")
    looks = FAMILY_OF_ARCHITECTURE[described.architecture].reference_images > 0
    single, whole = load(kind, file, config=config), load(kind, folder)
    assert (single.sees_mask, single.sees_map) == (whole.sees_mask, whole.sees_map)
    assert single.scheduler_config == whole.scheduler_config
    for ours, theirs in zip(
        everything_it_computes(single, looks_at_pictures=looks),
        everything_it_computes(whole, looks_at_pictures=looks),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
