"""How a checkpoint's UNet is laid out, as far as its configuration or its architecture tells."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from underpaint.catalog.diffusers_folder import read_json
from underpaint.catalog.entry import ModelEntry
from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.hub import cached_folder

_IN_SINGLE_FILES: Mapping[str, int] = MappingProxyType({"sd1x": 16, "sd2x": 16, "sdxl": 11})
"""Such files have the layout of their architecture."""


def cross_attention_transformers(entry: ModelEntry) -> int | None:
    """How many transformers of a UNet read the prompt; None where that is not known before it is loaded."""
    files = entry.files
    if files is None or entry.type == "refiner":
        return None
    if files.form == "file":
        return _IN_SINGLE_FILES.get(entry.architecture)
    folder = Path(files.location) if files.form == "folder" else cached_folder(files)
    if folder is None:
        return None
    try:
        return _counted(read_json(folder / "unet" / "config.json"))
    except (ModelRefused, OSError):
        return None


def _counted(config: Mapping[str, Any]) -> int | None:
    down, up = config.get("down_block_types"), config.get("up_block_types")
    if not isinstance(down, list) or not isinstance(up, list):
        return None
    layers = config.get("layers_per_block", 2)
    each = layers if isinstance(layers, list) else [layers] * len(down)
    if len(each) != len(down) or len(up) != len(down) or not all(isinstance(count, int) for count in each):
        return None
    middle = config.get("mid_block_type", "UNetMidBlock2DCrossAttn")
    return int(
        sum(count for kind, count in zip(down, each, strict=True) if "CrossAttn" in str(kind))
        + sum(count + 1 for kind, count in zip(up, reversed(each), strict=True) if "CrossAttn" in str(kind))
        + ("CrossAttn" in str(middle))
    )
