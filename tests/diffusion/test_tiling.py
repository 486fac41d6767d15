from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from tests.checkpoints import EMBEDDED_CHECKPOINT
from underpaint.diffusion import autoencoder as autoencoder_module
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.diffusion.tiling import in_tiles


@given(
    height=st.integers(1, 70), width=st.integers(1, 70), side=st.integers(4, 40), share=st.floats(0.0, 0.7)
)
def test_where_a_network_looks_at_one_place_only_tiles_change_nothing(
    height: int, width: int, side: int, share: float
) -> None:
    source = torch.randn(1, 2, height, width)
    seen: list[tuple[int, int]] = []

    def enlarged(tile: Tensor) -> Tensor:
        seen.append((tile.shape[-2], tile.shape[-1]))
        return torch.nn.functional.interpolate(tile, scale_factor=8)

    tiled = in_tiles(source, enlarged, side=side, overlap=int(side * share), step=1, ratio=Fraction(8))
    torch.testing.assert_close(tiled, torch.nn.functional.interpolate(source, scale_factor=8))
    assert set(seen) == {(min(side, height), min(side, width))}


@given(height=st.integers(1, 12), width=st.integers(1, 12))
def test_tiles_of_a_picture_begin_at_whole_latents(height: int, width: int) -> None:
    picture = torch.randn(1, 3, height * 8, width * 8)

    def reduced(tile: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(tile, 8)

    tiled = in_tiles(picture, reduced, side=32, overlap=12, step=8, ratio=Fraction(1, 8))
    torch.testing.assert_close(tiled, reduced(picture))


def test_between_tiles_that_disagree_the_result_goes_over_in_a_straight_line() -> None:
    values = iter([0.0, 1.0])
    tiled = in_tiles(
        torch.zeros(1, 1, 4, 12),
        lambda tile: torch.full_like(tile, next(values)),
        side=8,
        overlap=4,
        step=1,
        ratio=Fraction(1),
    )
    row = tiled[0, 0, 0]
    assert row[:4].tolist() == [0.0] * 4
    assert row[8:].tolist() == [1.0] * 4
    assert row[4:8].tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875])


@pytest.fixture(scope="module")
def embedded() -> StableDiffusion:
    return StableDiffusion.load(
        EMBEDDED_CHECKPOINT, config=None, device=torch.device("cpu"), dtype=torch.float32
    )


@pytest.fixture
def wide_photo() -> NDArray[np.uint8]:
    """384 x 640 pixels, with slopes, edges and grain."""
    dice = np.random.default_rng(5)
    rows, columns = np.mgrid[0:384, 0:640] / 640
    picture = np.stack([rows, columns, 0.5 * (rows + columns)], axis=2) * 200
    for _ in range(12):
        y, x, radius = dice.uniform(0, 0.6), dice.uniform(0, 1), dice.uniform(0.03, 0.2)
        picture[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = dice.uniform(0, 255, 3)
    noisy: NDArray[np.uint8] = (picture + dice.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)
    return noisy


def test_a_picture_in_tiles_is_within_a_hair_of_the_whole_one(
    embedded: StableDiffusion, wide_photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = embedded.encode_picture(wide_photo)
    decoded = embedded.decode(whole.mean).astype(int)
    monkeypatch.setattr(autoencoder_module, "TILE_PX", 256)
    tiled = embedded.encode_picture(wide_photo)
    again = embedded.decode(tiled.mean).astype(int)
    assert tiled.mean.shape == whole.mean.shape
    assert not torch.equal(tiled.mean, whole.mean), "it did go through in tiles"
    difference = np.abs(again - decoded)
    assert difference.mean() < 0.1
    assert difference.max() <= 6


def test_a_picture_of_no_more_pixels_than_a_tile_goes_through_whole(
    embedded: StableDiffusion, wide_photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> Tensor:
        raise AssertionError("this picture is small")

    monkeypatch.setattr(autoencoder_module, "in_tiles", refuse)
    monkeypatch.setattr(autoencoder_module, "TILE_PX", 512)
    assert embedded.encode_picture(wide_photo).mean.shape == embedded.latent_shape(
        width_px=640, height_px=384
    )
    with pytest.raises(AssertionError):
        embedded.encode_picture(wide_photo.repeat(2, axis=0))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("no"),
        MemoryError("no"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
    ],
)
def test_where_memory_does_not_suffice_tiles_become_smaller(
    embedded: StableDiffusion,
    wide_photo: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    latents = embedded.encode_picture(wide_photo).mean
    whole = embedded.decode(latents).astype(int)
    sides: list[int] = []

    def with_room_for(side: int) -> Callable[..., object]:
        decode = embedded._autoencoder._vae.decode

        def limited(tile: Tensor, **options: object) -> object:
            sides.append(max(tile.shape[-2:]))
            if sides[-1] > side:
                raise error
            return decode(tile, **options)

        return limited

    with monkeypatch.context() as patch:
        patch.setattr(embedded._autoencoder._vae, "decode", with_room_for(32))
        decoded = embedded.decode(latents)
    assert np.abs(decoded - whole).mean() < 0.1
    assert np.abs(decoded - whole).max() <= 8
    assert sides[0] == 80
    assert set(sides[2:]) == {32}
    with monkeypatch.context() as patch:
        patch.setattr(embedded._autoencoder._vae, "decode", with_room_for(8))
        with pytest.raises(type(error)):
            embedded.decode(latents)
