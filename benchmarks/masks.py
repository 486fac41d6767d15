"""Masks by chance, for inpainting: hard, soft, tiny, or touching the border."""

import numpy as np

from underpaint.engine.messages import Mask


def random_mask(number: int, side_px: int) -> Mask:
    """A square mask; `number` says which, and its rest after division by 4 of which kind: hard (0), soft (1), a single
    pixel (2), or touching the border (3).
    """
    generator = np.random.default_rng(number)
    rows, columns = np.mgrid[:side_px, :side_px]
    if number % 4 == 2:
        mask = np.zeros((side_px, side_px), np.uint8)
        mask[tuple(generator.integers(0, side_px, 2))] = 255
        return mask
    row, column = (
        generator.uniform(0, side_px, 2) if number % 4 != 3 else (0.0, generator.uniform(0, side_px))
    )
    distance = np.hypot(rows - row, columns - column) - generator.uniform(6, 24) * side_px / 64
    softness = generator.uniform(4, 16) * side_px / 64 if number % 4 == 1 else 0.01
    hard_or_soft: Mask = (np.clip(0.5 - distance / softness, 0, 1) * 255).astype(np.uint8)
    return hard_or_soft
