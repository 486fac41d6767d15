import numpy as np
import pytest
import torch

from training.autoencoder import (
    LATENT_CHANNELS,
    LATENT_DEVIATION,
    build_autoencoder,
    gradient_error,
    latent_penalty,
    psnr_db,
    random_crops,
    reconstruct,
    to_pictures,
    to_tensor,
)
from training.export import normalise_latents
from training.fields import Picture
from training.latents import encode_pictures
from training.shards import Shard

CPU = torch.device("cpu")


def test_latents_are_an_eighth_of_the_size(photo: Picture) -> None:
    latents = encode_pictures(build_autoencoder(8), photo[None, :64, :96], CPU)
    assert latents.shape == (1, LATENT_CHANNELS, 8, 12)
    assert latents.dtype == np.float16


def test_pictures_survive_the_way_to_tensors_and_back(photo: Picture) -> None:
    assert np.array_equal(to_pictures(to_tensor(photo[None], CPU))[0], photo)


def test_the_penalty_is_zero_only_for_the_wanted_mean_and_deviation() -> None:
    latents = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * LATENT_DEVIATION
    assert latent_penalty(latents).item() < 1e-4
    assert latent_penalty(latents + 0.3).item() > 0.05
    assert latent_penalty(latents * 2).item() > 0.1


def test_a_constant_offset_has_no_gradient_error() -> None:
    assert gradient_error(torch.full((1, 3, 8, 8), 0.4)).item() == 0
    assert gradient_error(torch.rand(1, 3, 8, 8)).item() > 0.1


def test_psnr_counts_in_decibels(photo: Picture) -> None:
    shifted = np.clip(photo.astype(int) + 10, 0, 255).astype(np.uint8)
    assert psnr_db(photo, shifted) == pytest.approx(20 * np.log10(255 / 10), abs=0.3)


def test_folding_the_statistics_in_leaves_reconstructions_as_they_are(photo: Picture) -> None:
    torch.manual_seed(3)
    model = build_autoencoder(8).eval()
    pictures = np.stack([photo[:64, :64], photo[64:128, 32:96], photo[32:96, 64:128]])
    before = reconstruct(model, pictures, CPU).astype(int)
    normalise_latents(model, pictures, CPU)
    after = reconstruct(model, pictures, CPU).astype(int)
    latents = encode_pictures(model, pictures, CPU).astype(np.float32)
    assert np.abs(latents.mean((0, 2, 3))).max() < 0.05
    assert np.abs(latents.std((0, 2, 3)) - 1).max() < 0.05
    assert np.abs(before - after).mean() < 2


def test_crops_lie_on_whole_latent_cells() -> None:
    cells = np.kron(np.arange(32 * 32).reshape(32, 32) % 251, np.ones((8, 8))).astype(np.uint8)
    shard = Shard(pictures=np.repeat(cells[None, ..., None], 3, 3), captions=[""], records=[[0]])
    crops = random_crops(np.random.default_rng(5), [shard], 40, 64)
    blocks = crops.reshape(40, 8, 8, 8, 8, 3)
    assert np.array_equal(blocks, np.broadcast_to(blocks[:, :, :1, :, :1], blocks.shape))
