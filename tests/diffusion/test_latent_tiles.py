"""Tiles cover everything, are blended evenly, and give back what they were cut from."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from underpaint.diffusion.latent_tiles import GatheredTiles, LatentTiles


@given(
    height=st.integers(8, 100),
    width=st.integers(8, 100),
    side=st.integers(8, 64),
    # Nearer to 1, there are tens of thousands of tiles.
    share=st.floats(0, 0.7),
)
def test_what_is_cut_and_gathered_is_what_it_was(height: int, width: int, side: int, share: float) -> None:
    side = min(side, height, width)
    tiles = LatentTiles(height=height, width=width, side=side, overlap=min(side - 1, int(side * share)))
    whole = torch.randn(2, height, width, generator=torch.Generator().manual_seed(1))
    gathered = GatheredTiles(tiles)
    for _ in range(2):
        made = [gathered.add(gathered.cut(whole)) for _ in range(gathered.count)]
        assert all(one is None for one in made[:-1])
        assert made[-1] is not None
        torch.testing.assert_close(made[-1], whole, rtol=0, atol=1e-4)
        assert gathered.number == 0
    for (top, left), (next_top, next_left) in itertools.pairwise(tiles.corners):
        if next_top == top:
            assert next_left - left <= side - tiles.overlap


def test_2048_pixels_are_25_tiles_of_512() -> None:
    tiles = LatentTiles(height=256, width=256, side=64, overlap=16)
    assert tiles.corners[0] == (0, 0)
    assert tiles.corners[-1] == (192, 192)
    assert len(tiles.corners) == 25


def test_tiles_go_over_into_each_other_without_a_step() -> None:
    """One says 0 and the next 1: between them the result rises steadily."""
    tiles = LatentTiles(height=16, width=28, side=16, overlap=4)
    gathered = GatheredTiles(tiles)
    assert gathered.add(torch.zeros(1, 16, 16)) is None
    whole = gathered.add(torch.ones(1, 16, 16))
    assert whole is not None
    across = whole[0, 8]
    assert across[:12].tolist() == [0.0] * 12
    assert across[16:].tolist() == [1.0] * 12
    assert float(across[11:17].diff().max()) < 0.3
