"""A denoising step in overlapping tiles, for pictures far larger than those that a model learned from.

Bar-Tal et al., "MultiDiffusion" (arXiv:2302.08113): the model sees one tile at a time, and where tiles overlap its
predictions are averaged before the step is taken, so that all tiles move towards one picture. Here the average is
weighted: a tile counts less towards its edges, where the model knows least, and no edge shows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LatentTiles:
    """Where the tiles lie, in latent pixels. The last of a row or column may overlap more than the others."""

    height: int
    width: int
    side: int
    """Of a tile; not more than `height` and `width`."""
    overlap: int
    """Of neighbouring tiles, at least. Less than `side`."""

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Top and left of each tile, row by row."""
        tops, lefts = (starts(length, self.side, self.overlap) for length in (self.height, self.width))
        return [(top, left) for top in tops for left in lefts]


class GatheredTiles:
    """The tiles of one evaluation, as they come in."""

    def __init__(self, tiles: LatentTiles) -> None:
        self._tiles = tiles
        self._corners = tiles.corners
        rising = (torch.arange(tiles.side, dtype=torch.float32) + 0.5) / max(1, tiles.overlap)
        slope = torch.minimum(rising, rising.flip(0)).clamp(max=1.0)
        self._weight = torch.outer(slope, slope)
        self._sum: Tensor | None = None
        self._weights = torch.zeros(tiles.height, tiles.width)
        self.number = 0
        """Of the tile that comes next."""

    @property
    def count(self) -> int:
        """Tiles of one evaluation."""
        return len(self._corners)

    def cut(self, whole: Tensor, *, scale: int = 1) -> Tensor:
        """The tile that comes next of (..., height, width), of which so many lie along each latent pixel."""
        top, left = (scale * place for place in self._corners[self.number])
        side = scale * self._tiles.side
        return whole[..., top : top + side, left : left + side]

    def add(self, made: Tensor) -> Tensor | None:
        """Take in a tile (..., side, side).

        Returns:
            After the last one the whole (..., height, width), and everything begins anew; None before.
        """
        if self._sum is None:
            self._sum = torch.zeros(*made.shape[:-2], *self._weights.shape)
        place = self._place()
        self._sum[(..., *place)] += made * self._weight
        self._weights[place] += self._weight
        self.number += 1
        if self.number < len(self._corners):
            return None
        whole = self._sum / self._weights
        self._sum, self.number = None, 0
        self._weights.zero_()
        return whole

    def _place(self) -> tuple[slice, slice]:
        top, left = self._corners[self.number]
        return slice(top, top + self._tiles.side), slice(left, left + self._tiles.side)


def starts(length: int, side: int, overlap: int) -> list[int]:
    """Where tiles along one side begin: the first at 0, the last at the end, evenly between."""
    if length <= side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    return [round((length - side) * number / (count - 1)) for number in range(count)]
