"""A large picture through a network in overlapping tiles, in the memory that one tile takes.

Tiles overlap, and in the overlap the result goes over from one to the other in a straight line, so no edge shows. A
network that normalizes over the whole picture, as most autoencoders do, sees other statistics in a tile than in the
whole: its result is close to that of the whole picture, not equal to it.
"""

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor


def in_tiles(
    source: Tensor,
    work: Callable[[Tensor], Tensor],
    *,
    side: int,
    overlap: int,
    step: int,
    ratio: Fraction,
) -> Tensor:
    """What `work` makes of `source`, tile by tile.

    Args:
        source: (1, channels, height, width), of sides that are multiples of `step`.
        work: takes a tile of `source` and gives (1, channels, height x ratio, width x ratio).
        side: height and width of a tile, in pixels of `source`, where `source` is not smaller; a multiple of `step`.
        overlap: of neighbouring tiles, at least, down to whole steps. Less than `side`.
        step: tiles begin at multiples of it, so that they begin at whole pixels of the result.
        ratio: pixels of the result to one of `source`.

    Returns:
        (1, channels, height x ratio, width x ratio), float32 on the CPU.
    """
    height, width = source.shape[-2:]
    tall, wide = min(side, height), min(side, width)
    tops = _starts(height, tall, overlap=overlap, step=step)
    lefts = _starts(width, wide, overlap=overlap, step=step)
    total: Tensor | None = None
    weights = torch.zeros(int(height * ratio), int(width * ratio))
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            made = work(source[..., top : top + tall, left : left + wide]).float().cpu()
            if total is None:
                total = torch.zeros(1, made.shape[1], *weights.shape)
            weight = torch.outer(
                _slope(tops, row, tall, ratio=ratio), _slope(lefts, column, wide, ratio=ratio)
            )
            place = (
                slice(int(top * ratio), int(top * ratio) + made.shape[-2]),
                slice(int(left * ratio), int(left * ratio) + made.shape[-1]),
            )
            total[(..., *place)] += made * weight
            weights[place] += weight
    assert total is not None, "there is always a first tile"
    return total.div_(weights)


def _starts(length: int, side: int, *, overlap: int, step: int) -> list[int]:
    """Where tiles begin: evenly spread, the first at the beginning and the last up to the end."""
    if length <= side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    last = length - side
    return [last // step * number // (count - 1) * step for number in range(count)]


def _slope(starts: list[int], number: int, side: int, *, ratio: Fraction) -> Tensor:
    """Weights along one side of a tile: rising through its overlap with the one before, falling with the one after."""
    weights = torch.ones(int(side * ratio))
    if number > 0:
        shared = int((starts[number - 1] + side - starts[number]) * ratio)
        weights[:shared] *= _rising(shared)
    if number + 1 < len(starts):
        shared = int((starts[number] + side - starts[number + 1]) * ratio)
        weights[len(weights) - shared :] *= _rising(shared).flip(0)
    return weights


def _rising(length: int) -> Tensor:
    return (torch.arange(length, dtype=torch.float32) + 0.5) / length
