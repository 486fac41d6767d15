"""Textual inversions with random vectors, in the layouts in which they are published."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

SPREAD = 0.4
"""Standard deviation of their values: twice that of the words of the checkpoints in `tests.checkpoints`."""


def write_embedding(
    file: Path, *widths: int, word: str = "emb_params", vectors: int = 2, seed: int = 0
) -> Path:
    """An embedding for a text encoder of a width, or for two, in SDXL's layout.

    Args:
        file: where it goes.
        *widths: of the vectors of each text encoder.
        word: name of the only tensor, for one encoder.
        vectors: how many for each encoder; 0 for one without a dimension of its own.
        seed: for other vectors.
    """
    dice = torch.Generator().manual_seed(seed)
    names = (word,) if len(widths) == 1 else ("clip_l", "clip_g")
    tensors: dict[str, Any] = {}
    for name, width in zip(names, widths, strict=True):
        values = torch.randn((max(vectors, 1), width), generator=dice) * SPREAD
        tensors[name] = values if vectors else values[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file
