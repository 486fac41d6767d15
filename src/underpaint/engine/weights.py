"""How much memory the weights of a model will take, by the headers of its files and without loading any."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.safetensors_header import read_header

DENOISERS = frozenset({"transformer", "unet"})
NOT_LOADED = frozenset({"safety_checker", "feature_extractor"})
"""Folders of a pipeline that no family loads."""


@dataclass(frozen=True, kw_only=True)
class WeightsForm:
    """How the weights of a model are held."""

    dtype: torch.dtype
    copies: int
    """How often they are in memory."""


def weights_bytes(location: Path, dtype: torch.dtype, *, config: str | None = None) -> int:
    """Bytes of a checkpoint's weights in this precision; 0 where its files cannot be read, which loading will say.

    Args:
        location: a diffusers folder or a single .safetensors file, all of which is counted.
        dtype: of the weights once they are loaded.
        config: of a single file; where the file holds a denoiser alone, the folder that the rest comes from. A hub id
            counts as nothing.
    """
    elements = 0
    files = [*_files(location)]
    if config is not None and Path(config).is_dir() and location.is_file() and _is_denoiser(location):
        files += [path for path in _files(Path(config)) if path.parent.name not in DENOISERS]
    for path in files:
        try:
            header = read_header(path)
        except ModelRefused:
            continue
        elements += sum(math.prod(tensor.shape) for tensor in header.tensors.values())
    return elements * dtype.itemsize


def _is_denoiser(file: Path) -> bool:
    """Whether a single file lacks an autoencoder, as those do that Black Forest Labs publish."""
    try:
        names = read_header(file).tensors
    except ModelRefused:
        return False
    return not any(name.startswith(("first_stage_model.", "vae.")) for name in names)


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
