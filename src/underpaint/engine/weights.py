"""How much memory the weights of a model will take, by the headers of its files and without loading any."""

import math
from collections.abc import Iterator
from pathlib import Path

import torch

from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.safetensors_header import read_header

NOT_LOADED = frozenset({"safety_checker", "feature_extractor"})
"""Folders of a pipeline that no family loads."""


def weights_bytes(location: Path, dtype: torch.dtype) -> int:
    """Bytes of a checkpoint's weights in this precision; 0 where its files cannot be read, which loading will say.

    Args:
        location: a diffusers folder or a single .safetensors file, all of which is counted.
        dtype: of the weights once they are loaded.
    """
    elements = 0
    for path in _files(location):
        try:
            header = read_header(path)
        except ModelRefused:
            continue
        elements += sum(math.prod(tensor.shape) for tensor in header.tensors.values())
    return elements * dtype.itemsize


def _files(location: Path) -> Iterator[Path]:
    if location.is_file():
        yield location
        return
    for folder in sorted(location.glob("*/")):
        if folder.name in NOT_LOADED:
            continue
        paths = sorted(folder.glob("*.safetensors"))
        # Beside the full weights lies, sometimes, a variant of them in half precision.
        full = [path for path in paths if ".fp16." not in path.name]
        yield from full or paths
