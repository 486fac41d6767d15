"""How much memory the weights of a model will take, by the headers of its files and without loading any."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.safetensors_header import read_header
from underpaint.diffusion.controlnet_names import weight_files

_IN_SINGLE_FILES = {
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": ("text_encoders.", "cond_stage_model.", "conditioner."),
}
"""Components, each with how the names of its tensors begin."""
NOT_LOADED = frozenset({"safety_checker", "feature_extractor"})
"""Folders of a pipeline that no family loads."""


@dataclass(frozen=True, kw_only=True)
class WeightsForm:
    """How the weights of a model are held."""

    dtype: torch.dtype
    copies: int
    """How often they must fit into memory."""
    may_grow: bool = False
    """Whether there is one more where there is room for it without dropping anything."""


def weights_bytes(location: Path, dtype: torch.dtype, *, config: str | None = None) -> int:
    """Bytes of a checkpoint's weights in this precision; 0 where its files cannot be read, which loading will say.

    Args:
        location: a diffusers folder or a single .safetensors file, all of which is counted.
        dtype: of the weights once they are loaded.
        config: of a single file; the folder from which the text encoders and the autoencoder come that it lacks. A hub
            id counts as nothing.
    """
    files = [*_files(location)]
    if config is not None and Path(config).is_dir() and location.is_file():
        lacking = _lacking(location)
        files += [path for path in _files(Path(config)) if path.parent.name.startswith(lacking)]
    return _bytes_of(files, dtype)


def controlnet_bytes(location: Path, dtype: torch.dtype) -> int:
    """Bytes of a ControlNet's weights in this precision; 0 where its files cannot be read, which loading will say."""
    return _bytes_of(weight_files(location), dtype)


def _bytes_of(files: Iterable[Path], dtype: torch.dtype) -> int:
    elements = 0
    for path in files:
        with contextlib.suppress(ModelRefused):
            elements += sum(math.prod(tensor.shape) for tensor in read_header(path).tensors.values())
    return elements * dtype.itemsize


def _lacking(file: Path) -> tuple[str, ...]:
    """How the names of the components begin that a single file lacks, as those do that hold a denoiser alone."""
    try:
        names = read_header(file).tensors
    except ModelRefused:
        return ()
    return tuple(
        component
        for component, starts in _IN_SINGLE_FILES.items()
        if not any(name.startswith(starts) for name in names)
    )


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
