"""Another VAE in place of the checkpoint's own, through the engine and in diffusers' pipeline, to 1/255 a channel."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.diffusion.single_file import autoencoder_tensors
from tests.reference.side_by_side import Asked, SideBySide, is_flat, worst_difference
from tests.reference.test_parity import REFERENCES
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.engine.messages import Picture

Layout = Literal["diffusers", "older", "original"]
OLDER_NAMES = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


@pytest.fixture(scope="module")
def other(make_checkpoint: Callable[..., Path]) -> Path:
    """A checkpoint whose VAE is put in place of others."""
    return make_checkpoint(weights_seed=5)


def vae_file(checkpoint: Path, file: Path, layout: Layout) -> Path:
    tensors = load_file(checkpoint / "vae/diffusion_pytorch_model.safetensors")
    if layout == "older":
        for new, old in OLDER_NAMES.items():
            tensors = {name.replace(new, old): part for name, part in tensors.items()}
    elif layout == "original":
        tensors = {name: part.contiguous() for name, part in autoencoder_tensors(checkpoint).items()}
    save_file(tensors, file)
    return file


@contextmanager
def their_vae(both: SideBySide, checkpoint: Path) -> Iterator[None]:
    pipeline: Any = both._text_to_image
    own = pipeline.vae
    with quiet_libraries():
        pipeline.vae = AutoencoderKL.from_pretrained(checkpoint / "vae")
    try:
        yield
    finally:
        pipeline.vae = own


@pytest.mark.parametrize("layout", ["diffusers", "older", "original"])
def test_every_layout_matches(
    sd1: SideBySide, other: Path, photo: Picture, tmp_path: Path, layout: Layout
) -> None:
    file = vae_file(other, tmp_path / "vae.safetensors", layout)
    for asked in (Asked(vae=file), Asked(vae=file, picture=photo, strength=0.5)):
        ours = sd1.ours(asked)
        with their_vae(sd1, other):
            theirs = sd1.theirs(asked, REFERENCES["DDIM"])
        assert worst_difference(ours, theirs) <= 1
        assert worst_difference(ours, sd1.theirs(asked, REFERENCES["DDIM"])) > 10
        assert not is_flat(ours)


def test_sdxl_matches(
    sdxl: SideBySide, tmp_path_factory: pytest.TempPathFactory, photo: Picture, tmp_path: Path
) -> None:
    other = write_sdxl_checkpoint(tmp_path_factory.mktemp("other") / "model", weights_seed=5)
    file = vae_file(other, tmp_path / "vae.safetensors", "diffusers")
    asked = Asked(vae=file, picture=photo, strength=0.5)
    ours = sdxl.ours(asked)
    with their_vae(sdxl, other):
        assert worst_difference(ours, sdxl.theirs(asked, REFERENCES["DDIM"])) <= 1
    assert worst_difference(ours, sdxl.theirs(asked, REFERENCES["DDIM"])) > 10
