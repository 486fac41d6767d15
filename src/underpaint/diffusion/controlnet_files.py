"""What is in the files of a ControlNet: its configuration, and its weights under the names of diffusers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from underpaint.diffusion.controlnet_names import ORIGINAL_NAMES, weight_files

MAX_CONFIG_BYTES = 2**20
_SIZE_EMBEDDING = {
    f"add_embedding.linear_{number}.{part}": f"label_emb.0.{place}.{part}"
    for number, place in ((1, 0), (2, 2))
    for part in ("weight", "bias")
}
"""SDXL's, which diffusers' conversion of ControlNets leaves out."""


def own_config(location: Path) -> dict[str, Any] | None:
    """What `config.json` beside the weights says, which diffusers writes; None where there is none of a ControlNet.

    Raises:
        ValueError: a folder has none, or it is of something else.
    """
    path = (location if location.is_dir() else location.parent) / "config.json"
    try:
        content = json.loads(path.read_bytes()) if path.stat().st_size <= MAX_CONFIG_BYTES else None
    except FileNotFoundError:
        content = None
    if isinstance(content, dict) and content.get("_class_name") == "ControlNetModel":
        return content
    if location.is_dir():
        raise ValueError("its config.json is missing, or of another kind of network")
    return None


def read_weights(location: Path) -> dict[str, Tensor]:
    """All tensors of a folder or single file.

    Raises:
        OSError, ValueError, SafetensorError: a file is missing or damaged.
    """
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in weight_files(location):
        tensors |= load_file(path)
    if not tensors:
        raise ValueError("it has no safetensors weights")
    return tensors


def is_in_original_names(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file has the names of the original layout, and not diffusers'."""
    return any(name.startswith(ORIGINAL_NAMES) for name in tensors)


def diffusers_names(tensors: Mapping[str, Tensor], config: Any) -> dict[str, Tensor]:
    """Weights in the original layout under diffusers' names.

    Args:
        tensors: of the file. A file may hold a whole checkpoint beside the ControlNet.
        config: of the diffusers network.
    """
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    prefix = "control_model."
    if any(name.startswith(prefix) for name in tensors):
        tensors = {
            name.removeprefix(prefix): part for name, part in tensors.items() if name.startswith(prefix)
        }
    converted = convert_controlnet_checkpoint(dict(tensors), config)
    for name, original in _SIZE_EMBEDDING.items():
        if original in tensors:
            converted[name] = tensors[original]
    return {name: part for name, part in converted.items() if part is not None}
